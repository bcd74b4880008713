"""The request and answer shapes that clients speak; each turns bytes into a batch and outputs into bytes."""
