"""The packages of the wheel: every room of `middleware/` and `broker/`, so that a new one is named nowhere else."""

from pathlib import Path

from setuptools import setup

LIBRARY = {"pressroom": "middleware", "pressroom.broker": "broker"}
ROOT = Path(__file__).parent

setup(
    package_dir=LIBRARY,
    packages=[
        ".".join([name, *module.parent.relative_to(ROOT / folder).parts])
        for name, folder in LIBRARY.items()
        for module in sorted((ROOT / folder).rglob("__init__.py"))
    ],
)
