"""The import contracts in pyproject.toml: each one is broken by a forbidden import and kept without it."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grimp
import pytest

from tests.support.sandbox import ROOT, clean_environment

LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
ROOT_PACKAGES: list[str] = SETTINGS["root_packages"]
CONTRACTS: list[dict[str, Any]] = SETTINGS["contracts"]
CLOUDS = sorted(driver.parent.name for driver in (ROOT / "providers").glob("*/driver.py"))

TOP_LAYERS = "Layers: top-level packages"
PROJECT_LAYERS = "Layers: cloudvm_project"
VMS_LAYERS = "Layers: vms"
PROVIDERS_LAYERS = "Layers: providers"
SANDBOX_LAYERS = "Layers: providers.sandbox"
SERVER_LAYERS = "Layers: vms.server"
CATALOGUE = "Only the catalogue imports a cloud"
SANDBOX = "Nothing imports the sandbox"
SIMULATOR = "A simulator shares no code with its driver"
DJANGO = "Only Django apps import Django"


@dataclass(frozen=True)
class Probe:
    """Forbidden code, and what lint-imports must report about it.

    `added` maps a file to the lines appended to it; a missing file is created. `reported` maps each contract that
    must break to texts that its report must contain. No other contract may break.
    """

    added: Mapping[str, str]
    reported: Mapping[str, tuple[str, ...]]


PROBES = {
    "cloud imports another cloud's SDK": Probe(
        {"providers/nutanix/probe.py": "import boto3"},
        {"SDK: boto3": ("providers.nutanix.probe -> boto3",)},
    ),
    "simulator imports the shared half of providers": Probe(
        {"providers/sandbox/aws/probe.py": "import providers.redaction"},
        {SIMULATOR: ("providers.sandbox.aws.probe -> providers.redaction",)},
    ),
    "simulator imports its driver": Probe(
        {"providers/sandbox/aws/probe.py": "from providers.aws import driver"},
        {
            SIMULATOR: ("providers.sandbox.aws.probe -> providers.aws.driver",),
            CATALOGUE: ("providers.sandbox.aws.probe -> providers.aws.driver",),
        },
    ),
    "new module of providers imports Django and the sandbox": Probe(
        {"providers/probe.py": "import django.conf\nfrom providers.sandbox import server"},
        {
            PROVIDERS_LAYERS: ("- providers.probe",),
            DJANGO: ("providers.probe -> django",),
            SANDBOX: ("providers.probe -> providers.sandbox.server",),
        },
    ),
    "new modules are in no layer": Probe(
        {
            "cloudvm_project/probe.py": "",
            "vms/probe.py": "",
            "vms/server/probe.py": "",
            "providers/probe/__init__.py": "",
            "providers/sandbox/probe.py": "",
        },
        {
            PROJECT_LAYERS: ("- cloudvm_project.probe",),
            VMS_LAYERS: ("- vms.probe",),
            SERVER_LAYERS: ("- vms.server.probe",),
            PROVIDERS_LAYERS: ("- providers.probe",),
            SANDBOX_LAYERS: ("- providers.sandbox.probe",),
        },
    ),
    "vms imports every SDK": Probe(
        {
            "vms/service.py": "import boto3, botocore.session, lxml.etree, azure.core, proxmoxer, pycdlib\n"
            "import mypy_boto3_ec2, pyVim.connect, pyVmomi, moto, trustme, werkzeug"
        },
        {
            "SDK: boto3": ("vms.service -> boto3", "vms.service -> mypy_boto3_ec2"),
            "SDK: botocore": ("vms.service -> botocore",),
            "SDK: lxml": ("vms.service -> lxml",),
            "SDK: azure": ("vms.service -> azure",),
            "SDK: proxmoxer, pycdlib": ("vms.service -> proxmoxer", "vms.service -> pycdlib"),
            "SDK: pyVmomi": ("vms.service -> pyVmomi",),
            "SDK: pyVim": ("vms.service -> pyVim",),
            "SDK: moto": ("vms.service -> moto",),
            "SDK: trustme, werkzeug": ("vms.service -> trustme", "vms.service -> werkzeug"),
        },
    ),
    "simulators import other clouds' SDKs": Probe(
        {
            "providers/sandbox/nutanix/probe.py": "import botocore, moto, pyVmomi",
            "providers/sandbox/azure/probe.py": "import azure.core",
        },
        {
            "SDK: botocore": ("providers.sandbox.nutanix.probe -> botocore",),
            "SDK: moto": ("providers.sandbox.nutanix.probe -> moto",),
            "SDK: pyVmomi": ("providers.sandbox.nutanix.probe -> pyVmomi",),
            "SDK: azure": ("providers.sandbox.azure.probe -> azure",),
        },
    ),
    "simulator imports another simulator": Probe(
        {"providers/sandbox/aws/probe.py": "from providers.sandbox import azure"},
        {SANDBOX_LAYERS: ("providers.sandbox.aws.probe -> providers.sandbox.azure",)},
    ),
    "cloud imports another cloud": Probe(
        {"providers/aws/probe.py": "from providers.azure import driver"},
        {
            PROVIDERS_LAYERS: ("providers.aws.probe -> providers.azure.driver",),
            CATALOGUE: ("providers.aws.probe -> providers.azure.driver",),
        },
    ),
    "gateway imports every cloud": Probe(
        {"providers/gateway.py": f"from providers import {', '.join(CLOUDS)}"},
        {CATALOGUE: tuple(f"providers.gateway -> providers.{cloud}" for cloud in CLOUDS)},
    ),
    "driver imports its simulator": Probe(
        {"providers/aws/driver.py": "from providers.sandbox.aws import app"},
        {
            PROVIDERS_LAYERS: ("providers.aws.driver -> providers.sandbox.aws.app",),
            SANDBOX: ("providers.aws.driver -> providers.sandbox.aws.app",),
        },
    ),
    "vms and a management command import the sandbox": Probe(
        {
            "vms/service.py": "import providers.sandbox",
            "providers/management/commands/probe.py": "import providers.sandbox.server",
        },
        {
            SANDBOX: (
                "vms.service -> providers.sandbox",
                "providers.management.commands.probe -> providers.sandbox.server",
            ),
            PROVIDERS_LAYERS: ("providers.management.commands.probe -> providers.sandbox.server",),
        },
    ),
    "providers imports DRF and Django": Probe(
        {
            "providers/gateway.py": "import rest_framework.response",
            "providers/vsphere/probe.py": "from django.core.cache import cache",
            "providers/sandbox/server.py": "import drf_spectacular",
        },
        {
            DJANGO: (
                "providers.gateway -> rest_framework",
                "providers.vsphere.probe -> django",
                "providers.sandbox.server -> drf_spectacular",
            )
        },
    ),
    "imports go up": Probe(
        {
            "cloudvm_project/variables.py": "from cloudvm_project import settings",
            "vms/service.py": "from vms import urls\nfrom cloudvm_project import settings",
            "providers/domain.py": "from providers import gateway",
            "providers/errors.py": "import vms.apps",
        },
        {
            PROJECT_LAYERS: ("cloudvm_project.variables -> cloudvm_project.settings",),
            VMS_LAYERS: ("vms.service -> vms.urls",),
            PROVIDERS_LAYERS: ("providers.domain -> providers.gateway",),
            TOP_LAYERS: ("providers.errors -> vms.apps", "vms.service -> cloudvm_project.settings"),
        },
    ),
}


def lint_imports(folder: Path, added: Mapping[str, str]) -> tuple[int, dict[str, str]]:
    """Run lint-imports on a copy of the project with lines added; return its exit status and the broken reports."""
    shutil.copy(ROOT / "pyproject.toml", folder)
    for package in ROOT_PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, lines in added.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as file:
            file.write(f"\n{lines}\n")
    done = subprocess.run(
        [LINT_IMPORTS, "--no-cache"],
        cwd=folder,
        env={**clean_environment(), "COLUMNS": "500"},
        capture_output=True,
        text=True,
        check=False,
    )
    summary = re.search(r"^Contracts: \d+ kept, (\d+) broken\.$", done.stdout, re.MULTILINE)
    assert summary, done.stdout + done.stderr
    details = done.stdout.partition("\nBroken contracts\n")[2]
    _, *parts = re.split(r"^(.+)\n-+\n\n", details, flags=re.MULTILINE)
    reports = dict(zip(parts[::2], parts[1::2], strict=True))
    assert len(reports) == int(summary[1]), done.stdout
    return done.returncode, reports


def test_the_project_keeps_its_contracts(tmp_path: Path) -> None:
    """Without a probe, lint-imports passes in the copy that the other tests use."""
    assert lint_imports(tmp_path, {}) == (0, {})


@pytest.mark.slow
@pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES)
def test_a_forbidden_import_breaks_its_contract(probe: Probe, tmp_path: Path) -> None:
    """lint-imports fails, and reports exactly the contracts that the probe breaks."""
    status, reports = lint_imports(tmp_path, probe.added)
    assert status == 1
    assert sorted(reports) == sorted(probe.reported)
    missing = [text for name, texts in probe.reported.items() for text in texts if text not in reports[name]]
    assert not missing, reports


def test_every_contract_has_a_probe() -> None:
    """A contract that no probe breaks might hold for a wrong reason, such as a misspelled module."""
    probed = {name for probe in PROBES.values() for name in probe.reported}
    assert {contract["name"] for contract in CONTRACTS} == probed


def test_every_package_is_checked() -> None:
    """lint-imports sees only its root packages; every other top-level package is a test."""
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages - {"tests"} == set(ROOT_PACKAGES)


def test_every_sdk_is_protected() -> None:
    """A third-party package that only clouds or simulators import has a contract of its own."""
    graph = grimp.build_graph(*ROOT_PACKAGES, include_external_packages=True, cache_dir=None)
    clouds = tuple(f"providers.{name}." for name in [*CLOUDS, "sandbox"])
    inner: set[str] = set()
    outer: set[str] = set()
    for package in graph.find_matching_modules("*") - set(ROOT_PACKAGES) - sys.stdlib_module_names:
        for importer in graph.find_modules_that_directly_import(package):
            (inner if f"{importer}.".startswith(clouds) else outer).add(package)
    protected = {module for contract in CONTRACTS for module in contract.get("protected_modules", [])}
    assert inner - outer
    assert inner - outer <= protected
