"""`manage.py check` and starts with wrong settings: one clear line for each fault, no traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cloudvm_project import __version__
from cloudvm_project.variables import HOSTS, Variables

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def manage(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `manage.py` with no other setting than these."""
    return run("manage.py", *arguments, **variables)


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the project's folder with no other setting than these."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("CLOUDVM_", "DJANGO_"))}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**environ, "CLOUDVM_SECRET_KEY": "".join(map(str, range(40))), **variables},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def told(done: subprocess.CompletedProcess[str]) -> str:
    """What a failed command said."""
    assert done.returncode not in {0, None}
    assert "Traceback" not in done.stderr
    return done.stderr


def test_check_with_good_settings_finds_nothing() -> None:
    """The files that come with the project, too; with `--deploy` as well."""
    done = manage("check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_manage_with_a_python_that_has_no_django_says_which_one_has() -> None:
    """`python manage.py` is what fingers type."""
    (line,) = told(run("-S", "manage.py", "check")).splitlines()
    assert line.startswith(f"Django is not installed for {sys.executable}.")
    assert ".venv/bin/python manage.py" in line


@pytest.mark.parametrize("arguments", [["--version"], ["version"], ["serve", "--version"]])
def test_manage_prints_the_version_of_the_product(arguments: list[str]) -> None:
    """Not Django's."""
    done = manage(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")


def test_check_with_bad_files_names_every_fault(tmp_path: Path) -> None:
    """File, path, what is wrong, what is allowed."""
    (tmp_path / "e.json").write_text('[{"name": "a", "cloud": "Foo"}, {"name": "b", "cloud": "Aws", "regoin": "r"}]')
    done = manage(
        "check",
        CLOUDVM_ENVIRONMENTS_FILE=str(tmp_path / "e.json"),
        CLOUDVM_MACHINETYPES_FILE=str(tmp_path / "none.json"),
    )
    lines = [line for line in told(done).splitlines() if "cloudvm.E001" in line]
    assert [line.partition(f"{tmp_path}/")[2].split(": ")[:2] for line in lines] == [
        ["e.json", "$[0].cloud"],
        ["e.json", "$[1]"],
        ["e.json", "$[1]"],
        ["none.json", "cannot be read"],
    ]


def test_check_with_an_environment_that_cannot_be_used_warns_of_it(tmp_path: Path) -> None:
    """Its keys are all there, and mean nothing on its cloud. The others can be used, so that the server starts."""
    azure = {"cloud": "Azure", "region": "westeurope", "project": "g", "url": "AzurePublicCloud"}
    proxmox = {"cloud": "Proxmox", "url": "https://pve.example:8006", "vpc_id": "node/pve"}
    environments = [
        {"name": "a", **azure, "vpc_id": "tenant"},
        {"name": "b", **proxmox, "storage_external_id": "storage/other/local-lvm"},
        {"name": "c", **proxmox},
        {"name": "d", "cloud": "ESXi", "url": "https://esxi.example"},
    ]
    (tmp_path / "e.json").write_text(json.dumps(environments))
    done = manage("check", CLOUDVM_ENVIRONMENTS_FILE=str(tmp_path / "e.json"))
    assert done.returncode == 0
    lines = [line for line in done.stderr.splitlines() if "cloudvm.W002" in line]
    assert len(lines) == 2
    assert "Environment 'a' cannot be used: its `vpc_id` is 'tenant' and must be the ids of the tenant" in lines[0]
    assert "Environment 'b' cannot be used: its `storage_external_id`" in lines[1]


def test_check_without_a_secret_key_asks_for_one() -> None:
    """Blank is none; in debug one is made up."""
    assert "CLOUDVM_SECRET_KEY is not set" in told(manage("check", CLOUDVM_SECRET_KEY=" "))
    assert "CLOUDVM_SECRET_KEY has 31 characters" in told(manage("check", CLOUDVM_SECRET_KEY="k" * 31))
    assert manage("check", CLOUDVM_SECRET_KEY="", CLOUDVM_DEBUG="true").returncode == 0


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("none.pem", "none.pem cannot be read: No such file or directory."),
        ("cut.pem", "cut.pem holds a certificate that is damaged or cut off."),
        ("key.pem", "key.pem holds no certificate in PEM form."),
    ],
)
def test_check_with_a_wrong_file_of_authorities_names_it(tmp_path: Path, variable: str, file: str, words: str) -> None:
    """Else every call to every cloud would fail, and say that the cloud's certificate is not trusted."""
    (tmp_path / "cut.pem").write_text("-----BEGIN CERTIFICATE-----\nMIIB\n")
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    others = {"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": ""}
    assert words in told(manage("check", **{**others, variable: str(tmp_path / file)}))


def test_check_with_a_folder_of_authorities_takes_it(tmp_path: Path) -> None:
    """As `requests` does."""
    assert manage("check", REQUESTS_CA_BUNDLE=str(tmp_path)).returncode == 0


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("CLOUDVM_REQUIRE_HTTP", "CLOUDVM_REQUIRE_HTTPS"),
        ("CLOUDVM_ALOWED_HOSTS", "CLOUDVM_ALLOWED_HOSTS"),
        ("CLOUDVM_TRUSTED_PROXY", "CLOUDVM_TRUSTED_PROXIES"),
        ("CLOUDVM_REQUEST_DEADLINE", "CLOUDVM_REQUEST_DEADLINE_SECONDS"),
        ("CLOUDVM_ENVIRONMENT_FILE", "CLOUDVM_ENVIRONMENTS_FILE"),
    ],
)
def test_check_with_a_mistyped_setting_asks_for_the_right_one(typed: str, meant: str) -> None:
    """A warning and no error: there may be such a variable for another's sake."""
    done = manage("check", **{typed: "x"})
    assert done.returncode == 0
    assert f"{typed} is no setting of this service. Is {meant} meant?" in done.stderr


@pytest.mark.parametrize(
    "name", ["CLOUDVM_SERVICE_HOST", "CLOUDVM_PORT", "CLOUDVM_LIVE_TOKEN", "CLOUDVM_REQUIRE_VCSIM"]
)
def test_check_with_a_variable_of_anothers_says_nothing(name: str) -> None:
    """A cluster gives those of a service of this name to every process; others are the tests'."""
    assert "issues" in manage("check", "--fail-level", "WARNING", **{name: "x"}).stdout


WRONG = {
    "CLOUDVM_DEBUG": "maybe",
    "CLOUDVM_REQUIRE_HTTPS": "2",
    "CLOUDVM_TRUSTED_PROXIES": "10.0.0.0/8, proxy.example",
    "CLOUDVM_ALLOWED_HOSTS": "http://x/",
    "CLOUDVM_REQUEST_DEADLINE_SECONDS": "nan",
    "CLOUDVM_CONNECT_TIMEOUT_SECONDS": "-1",
    "CLOUDVM_READ_TIMEOUT_SECONDS": "1e9",
    "CLOUDVM_REQUESTS_PER_ENVIRONMENT": "1.5",
    "CLOUDVM_LOG_LEVEL": "loud\nline",
    "CLOUDVM_LOG_FORMAT": "xml",
    "CLOUDVM_ENVIRONMENTS_FILE": "~nobody-of-this-name/environments.json",
}


def test_check_with_wrong_settings_tells_each_in_one_line() -> None:
    """All of them at once, with what is allowed."""
    done = manage("check", **WRONG)
    lines = told(done).splitlines()
    assert sorted(line.partition("=")[0] for line in lines) == sorted(WRONG)
    assert all(": must be " in line for line in lines)


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("api.example, 10.0.0.1", ("api.example", "10.0.0.1")),
        (".example.com,*", (".example.com", "*")),
        ("[::1],[FD00::1]", ("[::1]", "[FD00::1]")),
        ("http://x/", None),
        ("api.example:8080", None),
        ("::1", None),
        ("*.example.com", None),
        ("api.example/path", None),
    ],
)
def test_allowed_hosts_are_what_can_match_a_request(text: str, hosts: tuple[str, ...] | None) -> None:
    """Others would refuse every request."""
    variables = Variables({"HOSTS": text})
    assert variables.read("HOSTS", HOSTS, ()) == (hosts or ())
    assert bool(variables.faults) is (hosts is None)


@pytest.mark.parametrize(("name", "value"), [("CLOUDVM_DEBUG", "maybe"), ("CLOUDVM_MACHINETYPES_FILE", "/nothing")])
def test_wsgi_start_with_a_fault_ends_with_a_line(name: str, value: str) -> None:
    """A server that is started without `manage.py` does not start either."""
    (line,) = told(run("-c", "import cloudvm_project.wsgi", **{name: value})).splitlines()
    assert value in line


PROXY = "must be the URL of a proxy such as http://proxy.example:3128"
UNUSABLE = {
    "CLOUDVM_SECRET_KEY": ("abc", "CLOUDVM_SECRET_KEY has 3 characters and needs at least 32."),
    "HTTPS_PROXY": ("proxy.example:3128", f"HTTPS_PROXY: {PROXY}"),
    "http_proxy": ("http://", f"http_proxy: {PROXY}"),
    "HTTP_PROXY": ("http://proxy.example:99999", f"HTTP_PROXY: {PROXY}"),
    "ALL_PROXY": ("socks5://user:canary-s3cr3t@proxy.example:1080", f"ALL_PROXY: {PROXY}"),
    "NO_PROXY": ("10.0.0.0/99", "NO_PROXY: '10.0.0.0/99' must be a range of addresses"),
    "REQUESTS_CA_BUNDLE": ("/nothing.pem", "/nothing.pem cannot be read"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_serve_with_an_unusable_variable_ends_with_a_line(name: str) -> None:
    """It names the variable, and quotes no value that may hold a secret."""
    value, words = UNUSABLE[name]
    proxies = {each: "" for each in UNUSABLE if each.lower().endswith("_proxy")}
    done = manage("serve", **{**proxies, name: value})
    (line,) = told(done).splitlines()
    assert words in line
    assert "canary-s3cr3t" not in line


CHUNKED_REQUEST = """
import io, sys
from cloudvm_project.wsgi import application
environ = {
    "REQUEST_METHOD": "POST", "PATH_INFO": "/vm", "QUERY_STRING": "", "HTTP_HOST": "localhost", "REMOTE_ADDR": "",
    "SERVER_NAME": "", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http",
    "CONTENT_TYPE": "application/json", "HTTP_AUTHORIZATION": "Bearer a2V5OnNlY3JldA==",
    "wsgi.input": io.BytesIO(b'{"name": "a", "environment": "nowhere", "machinetype": "m"}'),
    "wsgi.input_terminated": True, "wsgi.errors": sys.stderr,
}
print(b"".join(application(environ, lambda status, headers: None)).decode())
"""


def test_wsgi_application_reads_chunks_under_another_server() -> None:
    """Such a server passes a body whose length it does not know."""
    done = run("-c", CHUNKED_REQUEST)
    assert json.loads(done.stdout)["code"] == "environment_not_found", done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--port", "99999"), "99999"),
        (("--port", "x"), "1 to 65535"),
        (("--host", "no-such-host.invalid"), "no-such-host.invalid"),
        (("--host", "192.0.2.1"), "192.0.2.1"),
        (("--tls-cert", "/nothing.pem", "--tls-key", "/nothing.pem"), "/nothing.pem"),
        (("--tls-cert", "manage.py"), "--tls-key"),
        (("--tls-cert", "manage.py", "--tls-key", "manage.py"), "no certificate"),
        (("--workers", "0"), "--workers"),
        (("--threads", "-1"), "--threads"),
    ],
)
def test_serve_with_wrong_arguments_ends_with_a_line(arguments: tuple[str, ...], words: str) -> None:
    """Before any worker is started."""
    assert words in told(manage("serve", *arguments)).splitlines()[-1]
