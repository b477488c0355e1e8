"""What happens to one request on its way through our gateway when something of ours is wrong there."""

import json
from dataclasses import dataclass, replace

from drills import dialects
from drills.company import INDEX_OF, App
from drills.draws import generator, uniform
from drills.engine_state import NAME as ENGINE_NAME
from drills.engine_state import USED_BY
from drills.model import Completion
from drills.outgoing import Outgoing
from drills.world import Moment, World

_WAIT_SPREAD = 0.35


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """One request's way."""

    world: World
    app: App
    moment: Moment
    nonce: str

    def _hit(self, what: str, share: float) -> bool:
        return share > 0.0 and uniform(self.world.seed, what, self.nonce) < share

    @property
    def _row(self) -> int:
        return INDEX_OF[self.app.name]

    def wait_s(self) -> float:
        """Seconds until a worker of the gateway takes it, and the engine has a place for it."""
        path = self.moment.effects.path
        queue = float(path.queue_s[0]) + float(path.held_s[0, self._row])
        if queue <= 0.0:
            return 0.0
        return queue * float(generator(self.world.seed, "wait", self.nonce).lognormal(0.0, _WAIT_SPREAD))

    def refusal(self) -> Outgoing | None:
        """What the gateway answers by itself, if it does."""
        path = self.moment.effects.path
        if self._hit("contract", float(path.contract[0, self._row])):
            message = (
                "litellm.BadRequestError: OpenAIException - Unsupported parameter: 'max_tokens' is not supported with "
                "this model. Use 'max_completion_tokens' instead."
            )
            return dialects.openai_error(
                400, "invalid_request_error", "unsupported_parameter", message, param="max_tokens", elapsed_s=0.12
            )
        if self._hit("crashed", float(path.crashed[0, self._row])):
            message = "litellm.InternalServerError: AttributeError: 'FieldInfo' object has no attribute 'in_'"
            return dialects.openai_error(500, "internal_server_error", "500", message, elapsed_s=0.03)
        if self._hit("busy", float(path.busy[0])):
            message = "Service Unavailable: no worker took the request in time."
            wait = self.wait_s() + 1.0
            return dialects.openai_error(503, "internal_server_error", "503", message, elapsed_s=wait)
        if self._row == USED_BY and self._hit("engine", float(path.engine_lost[0])):
            message = f"litellm.InternalServerError: {ENGINE_NAME} - EngineCore encountered an issue."
            return dialects.openai_error(500, "internal_server_error", "500", message, elapsed_s=0.2 + self.wait_s())
        return None

    def astray(self) -> bool:
        """Whether the small model answers instead."""
        return self._hit("astray", float(self.moment.effects.path.astray[0, self._row]))

    def shaped(self, done: Completion, *, structured: bool) -> Completion:
        """The answer; it may have become rubbish, or, if structured, have lost the shape it was asked for."""
        if self._hit("garbled", float(self.moment.effects.path.garbled[0, self._row])):
            return replace(done, text="!" * max(8, 2 * done.tokens_out))
        if not structured or not self._hit("misshapen", float(self.moment.effects.path.misshapen[0, self._row])):
            return done
        try:
            document = json.loads(done.text)
        except ValueError:
            return done
        if not isinstance(document, dict) or not document:
            return done
        first, *_ = document
        renamed = {(f"{name}_name" if name == first else name): value for name, value in document.items()}
        return replace(done, text=json.dumps(renamed))

    def sent(self, outgoing: Outgoing) -> Outgoing:
        """The reply as it arrives: a proxy may end a long stream in the middle by closing the connection."""
        path = self.moment.effects.path
        whole = len(outgoing.pieces)
        kept = int(path.cut_after)
        if whole <= kept + 3 or not self._hit("cut", float(path.cut[0, self._row])):
            return outgoing
        pieces = outgoing.pieces[:kept]
        lasted = outgoing.first_byte_s + (outgoing.elapsed_s - outgoing.first_byte_s) * kept / whole
        return replace(outgoing, pieces=pieces, body=b"".join(pieces), elapsed_s=lasted, broken=True)
