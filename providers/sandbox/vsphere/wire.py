"""SOAP in and out by pyVmomi's own types: a call's method, object and arguments; a result or a fault."""

import copy
import io
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from xml.parsers.expat import ExpatError

from lxml import etree
from pyVmomi import SoapAdapter, VmomiSupport, vmodl

from providers.sandbox.vsphere.metadata import has_version, property_info, wire_name
from providers.sandbox.vsphere.naming import NAMESPACE
from providers.sandbox.vsphere.refusals import invalid_request

SOAP: Final = SoapAdapter.XMLNS_SOAPENV
_OF_TASK: Final = re.compile(rb"<(\w+:)?obj [^>]*type=\"Task\"")
_PREFIXES: Final = {**SoapAdapter.SOAP_NSMAP, NAMESPACE: ""}
# What pyVmomi raises at elements, types and values that it does not know.
_UNREADABLE: Final = (KeyError, TypeError, ValueError, AttributeError, IndexError, ExpatError)


# How pyVmomi reads an attribute: in no list of methods, and answered by every managed object.
FETCH: Final = "Fetch"


@dataclass(frozen=True)
class Invocation:
    """One call: the method's name on the wire, the object that it is of, and its arguments by name."""

    method: str
    this: Any
    arguments: Mapping[str, Any] = field(repr=False)
    version: str


def read(body: bytes, version: str) -> Invocation:
    """The call, of an API version, that a request holds; raises InvalidRequest as vSphere's parser does."""
    element = _body(body)
    name = etree.QName(element)
    method = _method(name.namespace or "", name.localname, version)
    parameters = {parameter.name: parameter for parameter in method.info.params}
    this: Any = None
    arguments: dict[str, Any] = dict.fromkeys(parameters)
    for child in element:
        tag = etree.QName(child).localname
        if tag == "_this":
            this = _value(child, VmomiSupport.ManagedObject)
        elif tag in parameters:
            _take(arguments, tag, child, parameters[tag].type)
        else:
            raise invalid_request(f'Unexpected element tag "{tag}" seen')
    if this is None:
        raise invalid_request('Required property "_this" is missing from data object')
    _refuse_missing(name.localname, parameters, arguments)
    return Invocation(name.localname, this, arguments, version)


def unresolved(name: str, namespace: str = NAMESPACE) -> vmodl.MethodFault:
    """There is no such method."""
    return invalid_request(f"Unable to resolve WSDL method name {name} for namespace name {namespace}")


def receiver_of(method: str) -> Any:
    """The managed type whose method it is."""
    return VmomiSupport.GetWsdlMethod(NAMESPACE, method).info.type


def method_name(body: bytes) -> str:
    """The method's name, whatever it is, or nothing when there is none to be read."""
    try:
        return str(etree.QName(_body(body)).localname)
    except vmodl.MethodFault:
        return ""


def operation_of(body: bytes) -> str:
    """The name under which a call is counted, and can be made to fail: reads of tasks are told from other reads."""
    name = method_name(body)
    return f"{name} of a Task" if name.startswith("RetrieveProperties") and _OF_TASK.search(body) else name


def this_of(body: bytes) -> Any:
    """The object that a call is of; None when there is none to be read."""
    with suppress(vmodl.MethodFault):
        for child in _body(body):
            if etree.QName(child).localname == "_this":
                return _value(child, VmomiSupport.ManagedObject)
    return None


def write_result(invocation: Invocation, result: Any) -> bytes:
    """The answer to a call that was carried out."""
    kind, flags = _result_type(invocation)
    text = ""
    # An array without elements is no element at all, whether it is optional or not.
    if kind is not type(None) and not (isinstance(result, list) and not result):
        text = _serialized(result, _Info("returnval", kind, invocation.version, flags))
    response = f"{invocation.method}Response"
    return _envelope(f'<{response} xmlns="{NAMESPACE}">{text}</{response}>')


def write_fault(fault: Any, version: str, code: str = "ServerFaultCode") -> bytes:
    """The answer to a call that was refused."""
    tag = wire_name(VmomiSupport.GetCompatibleType(type(fault), version)) + "Fault"
    writer = io.StringIO()
    # pyVmomi would write the message into the detail too, where vSphere doesn't say it.
    silent = copy.copy(fault)
    silent.msg = None
    _serializer(writer, version).SerializeFaultDetail(silent, _Info(tag, object, version, 0))
    detail = writer.getvalue().replace(f"<{tag}", f'<{tag} xmlns="{NAMESPACE}"', 1)
    message = SoapAdapter.XmlEscape(fault.msg or "")
    return _envelope(
        f"<soapenv:Fault><faultcode>{code}</faultcode><faultstring>{message}</faultstring>"
        f"<detail>{detail}</detail></soapenv:Fault>"
    )


def _result_type(invocation: Invocation) -> tuple[Any, int]:
    if invocation.method == FETCH:
        info = property_info(type(invocation.this), invocation.arguments["prop"])
        return info.type, info.flags | VmomiSupport.F_OPTIONAL
    info = _method(NAMESPACE, invocation.method, invocation.version).info
    return info.result, info.resultFlags


def _Info(name: str, kind: Any, version: str, flags: int) -> Any:  # noqa: N802 - makes what pyVmomi calls an Object
    return VmomiSupport.Object(name=name, type=kind, version=version, flags=flags)


_FETCH: Final = VmomiSupport.Object(info=VmomiSupport.Object(params=(_Info("prop", str, "", 0),)))


def _envelope(text: str) -> bytes:
    return (
        f"{SoapAdapter.XML_HEADER}\n{SoapAdapter.SOAP_ENVELOPE_START}<soapenv:Body>\n{text}\n"
        f"</soapenv:Body>\n</soapenv:Envelope>"
    ).encode()


class _Serializer(SoapAdapter.SoapSerializer):
    """Names references as vSphere does; pyVmomi alone writes `ManagedObject`, which only itself can read."""

    def _QName(self, typ: Any, defNS: str) -> tuple[str, str]:  # noqa: N802, N803 - pyVmomi's names
        base: Any = super()
        attribute, name = base._QName(typ, defNS)  # noqa: SLF001 - the one that is overridden
        return attribute, f"{name}Reference" if typ is VmomiSupport.ManagedObject else name


def _serializer(writer: io.StringIO, version: str) -> Any:
    kind: Any = _Serializer
    serializer = kind(writer, version, _PREFIXES)
    # It would say the version on the outermost element, as stored documents do, and answers don't.
    serializer.outermostAttrs = ""
    return serializer


def _serialized(value: Any, info: Any) -> str:
    writer = io.StringIO()
    _serializer(writer, info.version).Serialize(value, info)
    return writer.getvalue()


def _parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)


def _body(body: bytes) -> etree._Element:
    try:
        envelope = etree.fromstring(body, _parser())
    except etree.XMLSyntaxError as error:
        raise invalid_request(f"Error returned by expat parser: {error.msg}\n\nwhile parsing SOAP envelope") from error
    element = envelope.find(f"{{{SOAP}}}Body/*")
    if envelope.tag != f"{{{SOAP}}}Envelope" or element is None:
        raise invalid_request("Unexpected element tag seen\n\nwhile parsing SOAP envelope")
    return element


def _method(namespace: str, name: str, version: str) -> Any:
    if name == FETCH:
        return _FETCH
    with suppress(KeyError):
        method = VmomiSupport.GetWsdlMethod(namespace, name)
        if has_version(version, method.info.version):
            return method
    raise unresolved(name, namespace)


def _take(arguments: dict[str, Any], name: str, element: etree._Element, kind: Any) -> None:
    if issubclass(kind, list):
        if arguments[name] is None:
            arguments[name] = kind()
        arguments[name].append(_value(element, kind.Item))
    else:
        arguments[name] = _value(element, kind)


def _value(element: etree._Element, kind: Any) -> Any:
    # Serialised anew with the namespaces that are in force, as pyVmomi reads whole documents only.
    text = etree.tostring(element, with_tail=False)
    try:
        return SoapAdapter.Deserialize(text, kind)
    except _UNREADABLE as error:
        tag = etree.QName(element).localname
        raise invalid_request(f'Unreadable value: {error}\n\nwhile parsing parameter "{tag}"') from error


def _refuse_missing(method: str, parameters: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    for name, parameter in parameters.items():
        is_needed = not parameter.flags & VmomiSupport.F_OPTIONAL
        if arguments[name] is None and is_needed:
            raise invalid_request(
                f"Required parameter {name} is missing\n\nwhile parsing call information for method {method}"
            )
