"""The API versions that a server has: its own and those before it, as clients ask for them and name them.

https://developer.broadcom.com/xapis/vsphere-web-services-api/latest/ on API versions: a client names one in each
call's SOAPAction, `urn:vim25/8.0.3.0`; /sdk/vimServiceVersions.xml lists them.
"""

from collections.abc import Sequence
from typing import Final

from pyVmomi import VmomiSupport

from providers.sandbox.vsphere.metadata import has_version
from providers.sandbox.vsphere.naming import NAMESPACE

_SERVICE: Final = "vim25"
# What a call without a version is of: VI 3.
OLDEST: Final = "vim.version.version1"


class Versions:
    """The versions of a server of one version, such as `8.0.3.0`; raises `KeyError` for none of pyVmomi's."""

    def __init__(self, version: str) -> None:
        self.id = version
        self.own: str = VmomiSupport.versionMap[f"{_SERVICE}/{version}"]
        self._known = {
            VmomiSupport.versionIdMap[name]: name
            for name in VmomiSupport.GetServiceVersions(_SERVICE)
            if has_version(self.own, name) and VmomiSupport.versionIdMap[name]
        }

    def of_action(self, action: str) -> str | None:
        """The version that a SOAPAction names, the oldest when it names none; None when this server has it not."""
        text = action.strip().strip('"')
        if text in {"", NAMESPACE, f"{NAMESPACE}/"}:
            return OLDEST
        return self._known.get(text.removeprefix(f"{NAMESPACE}/"))

    def document(self) -> bytes:
        """The list that clients choose from."""
        prior = "".join(f"<version>{version}</version>" for version in self._prior())
        return (
            '<?xml version="1.0" encoding="UTF-8" ?><namespaces version="1.0"><namespace>'
            f"<name>{NAMESPACE}</name><version>{self.id}</version><priorVersions>{prior}</priorVersions>"
            "</namespace></namespaces>"
        ).encode()

    def _prior(self) -> Sequence[str]:
        return [version for version in self._known if version != self.id]
