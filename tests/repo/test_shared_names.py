"""What two processes share is repeated in each package's contract.py; here the copies are held together."""

import itertools

import headgate_operator.contract as operator_names
import headgate_server.contract as server_names
from headgate_server.settings import SETTINGS

PACKAGES = {"operator": operator_names, "server": server_names}


def constants(module: object) -> dict[str, object]:
    return {name: value for name, value in vars(module).items() if name.isupper()}


def test_names_that_two_packages_share_have_one_value() -> None:
    shared = 0
    for (one, left), (other, right) in itertools.combinations(PACKAGES.items(), 2):
        mine, theirs = constants(left), constants(right)
        for name in mine.keys() & theirs.keys():
            shared += 1
            assert mine[name] == theirs[name], f"{name} differs between {one} and {other}"
    assert shared >= 6


def test_every_variable_that_the_operator_gives_a_pod_is_a_setting_of_the_server() -> None:
    given = {value for name, value in constants(operator_names).items() if name.startswith("ENV_")}
    known = {setting.variable for setting in SETTINGS}
    assert given <= known
