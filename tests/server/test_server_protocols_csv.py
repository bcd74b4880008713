"""CSV to /invocations: a header line, and each cell as the type of its column."""

import pytest

import model_dirs
from asgi_client import AsgiClient

CSV = {"content-type": "text/csv"}
HEAD = "age,income,city,vip\n"


@pytest.fixture(scope="module", params=["Strict", "Compatible"])
def mixed(request, tmp_path_factory):
    with AsgiClient(model_dirs.mixed(tmp_path_factory.mktemp("mixed") / "m"), validation=request.param) as client:
        yield client


@pytest.fixture(scope="module")
def onnx(tmp_path_factory):
    with AsgiClient(model_dirs.onnx_iris(tmp_path_factory.mktemp("onnx") / "model")) as client:
        yield client


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        (HEAD + "20,1.5,a,true\n50,4.5,a,False\n", [0, 1]),
        ("\ufeff" + HEAD.replace("\n", "\r\n") + '20,1.5,"a, b",True\r\n', [0]),
        ("vip,city,income,age\nfalse,007,4,50", [1]),
    ],
    ids=["plain", "with a byte-order mark and quotes", "reordered, without an end of line"],
)
async def test_rows_are_read_by_the_names_of_the_header(mixed, text, labels):
    reply = await mixed.request("POST", "/invocations", text.encode(), CSV)
    assert (reply.status, reply.json) == (200, {"predictions": labels})


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "BAD_REQUEST"),
        (HEAD, "BAD_REQUEST"),
        (HEAD + "20,1.5,a\n", "BAD_REQUEST"),
        (HEAD + "20.5.1,1.5,a,true\n", "BAD_REQUEST"),
        (HEAD + ",1.5,a,true\n", "BAD_REQUEST"),
        (HEAD + '20,1.5,"a,true\n', "BAD_REQUEST"),
        ("income,city,vip\n1.5,a,true\n", "INVALID_PARAMETER_VALUE"),
        ("age,age,income,city,vip\n1,1,1.5,a,true\n", "BAD_REQUEST"),
    ],
)
async def test_what_is_no_csv_or_does_not_fit_is_400(mixed, text, code):
    reply = await mixed.request("POST", "/invocations", text.encode(), CSV)
    assert (reply.status, reply.json["error_code"]) == (400, code)


async def test_bytes_that_are_no_utf8_are_400_without_the_bytes(mixed):
    reply = await mixed.request("POST", "/invocations", HEAD.encode() + b"20,1.5,\xff,true\n", CSV)
    assert (reply.status, reply.json["message"]) == (400, "the body is not UTF-8")


async def test_a_frame_of_numbers_fits_a_tensor(onnx):
    reply = await onnx.request("POST", "/invocations", b"a,b,c,d\n5.1,3.5,1.4,0.2\n", CSV)
    assert (reply.status, reply.json["predictions"]["label"]) == (200, [0])
    assert (await onnx.request("POST", "/predict", b"a\n1\n", CSV)).status == 415
