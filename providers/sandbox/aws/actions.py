"""What each EC2 action does: ours where moto falls short of the service, moto's own for all others."""

import threading
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from botocore.model import OperationNotFoundError
from moto.core.exceptions import ServiceException
from moto.ec2.models.instances import Instance
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Response

from providers.sandbox.aws.backend import REGION, SandboxBackend, install, remove
from providers.sandbox.aws.describing import describe_instances, find_instances
from providers.sandbox.aws.launching import Launcher
from providers.sandbox.aws.lifecycle import CODES, Lifecycle
from providers.sandbox.aws.wire import Ec2Error, Ec2Request, Value, answer, passed_on


class Ec2:
    """One account's EC2: its state, and the actions on it, one at a time, as moto is not thread-safe."""

    def __init__(self, account_id: str, transition_seconds: float) -> None:
        self.lock = threading.RLock()
        self.lifecycle = Lifecycle(transition_seconds)
        self.backend: SandboxBackend
        self._account_id = account_id
        self._moto = create_backend_app("ec2")
        self._launcher: Launcher
        self._actions: Mapping[str, Callable[[Ec2Request], Response]] = {
            "DescribeInstances": self._describe_instances,
            "RebootInstances": self._reboot_instances,
            "RunInstances": self._run_instances,
            "StartInstances": self._start_instances,
            "StopInstances": self._stop_instances,
            "TerminateInstances": self._terminate_instances,
        }
        self.reset()

    def reset(self) -> None:
        """Everything as at the start: the network and the image, no instance, no client token."""
        with self.lock:
            self.backend = install(self._account_id)
            self._launcher = Launcher(self.backend, self.lifecycle, self._forward)
            self.lifecycle.reset()

    def close(self) -> None:
        """Leave nothing in moto."""
        with self.lock:
            remove(self._account_id)

    def perform(self, request: Ec2Request) -> Response:
        """Carry an action out; raises `Ec2Error`."""
        with self.lock:
            self.lifecycle.settle()
            action = self._actions.get(request.action)
            try:
                return action(request) if action else self._forward(request.parameters)
            except ServiceException as error:
                # moto's own, when one of our actions meets it before moto's do.
                raise Ec2Error(error.code, error.message) from error

    def _forward(self, parameters: Mapping[str, str]) -> Response:
        """Moto's answer, from its own WSGI application."""
        headers = {
            # moto takes the account from the one and the region from the other, and checks neither.
            "x-moto-account-id": self._account_id,
            "Authorization": f"AWS4-HMAC-SHA256 Credential=sandbox/20000101/{REGION}/ec2/aws4_request",
        }
        builder = EnvironBuilder(
            method="POST",
            headers=headers.items(),
            data=urlencode(parameters),
            content_type="application/x-www-form-urlencoded",
        )
        try:
            response = Response.from_app(self._moto, builder.get_environ(), buffered=True)
        except OperationNotFoundError as error:
            message = f"The action {parameters['Action']} is not valid for this web service."
            raise Ec2Error("InvalidAction", message) from error
        except NotImplementedError as error:
            raise Ec2Error("UnsupportedOperation", f"The sandbox cannot do this: {error}") from error
        return passed_on(response)

    def _describe_instances(self, request: Ec2Request) -> Response:
        return answer(request.action, describe_instances(self.backend, request))

    def _run_instances(self, request: Ec2Request) -> Response:
        return self._launcher.run_instances(request)

    def _start_instances(self, request: Ec2Request) -> Response:
        return self._change(request, self.lifecycle.check_start, self.lifecycle.start)

    def _stop_instances(self, request: Ec2Request) -> Response:
        force = request.flag("Force")
        return self._change(
            request, self.lifecycle.check_stop, lambda instance: self.lifecycle.stop(instance, force=force)
        )

    def _terminate_instances(self, request: Ec2Request) -> Response:
        return self._change(request, _check_protection, self.lifecycle.terminate)

    def _reboot_instances(self, request: Ec2Request) -> Response:
        self._change(request, self.lifecycle.check_reboot, self.lifecycle.reboot)
        return answer(request.action, {"return": True})

    def _change(
        self,
        request: Ec2Request,
        check: Callable[[Instance], None],
        change: Callable[[Instance], None],
    ) -> Response:
        """Change all the instances that are named, or none."""
        instances = find_instances(self.backend, request.values("InstanceId"))
        for instance in instances:
            check(instance)
        request.refuse_dry_run()
        changes: list[Value] = []
        for instance in instances:
            previous = instance.state
            change(instance)
            changes.append(
                {
                    "instanceId": instance.id,
                    "currentState": _state(instance.state),
                    "previousState": _state(previous),
                }
            )
        return answer(request.action, {"instancesSet": changes})


def _state(name: str) -> Mapping[str, Value]:
    return {"code": CODES[name], "name": name}


def _check_protection(instance: Instance) -> None:
    if instance.disable_api_termination:
        message = (
            f"The instance '{instance.id}' may not be terminated. "
            "Modify its 'disableApiTermination' instance attribute and try again."
        )
        raise Ec2Error("OperationNotPermitted", message)
