"""``views.*``."""

from drills.slack.surfaces import Surfaces
from drills.slack.wire import Json, required, structured, text_of


class ViewMethods:
    """Modals and the Home tab."""

    def __init__(self, surfaces: Surfaces) -> None:
        self._surfaces = surfaces

    def open(self, args: Json) -> Json:
        """``views.open``: on top of a modal if the trigger came from one, as Slack does."""
        trigger = self._surfaces.spend_trigger(required(args, "trigger_id"))
        view = structured(args, "view")
        if trigger.view_id and trigger.view_id in self._surfaces.stacks.get(trigger.user, []):
            return {"view": self._surfaces.push(trigger.user, view)}
        return {"view": self._surfaces.open(trigger.user, view)}

    def push(self, args: Json) -> Json:
        """``views.push``."""
        trigger = self._surfaces.spend_trigger(required(args, "trigger_id"))
        return {"view": self._surfaces.push(trigger.user, structured(args, "view"))}

    def update(self, args: Json) -> Json:
        """``views.update``, by id or external id, compare-and-set when a hash is given."""
        shown = self._surfaces.find(text_of(args, "view_id"), text_of(args, "external_id"))
        view = self._surfaces.update(str(shown.view["id"]), structured(args, "view"), text_of(args, "hash"))
        return {"view": view}

    def publish(self, args: Json) -> Json:
        """``views.publish``."""
        view = self._surfaces.publish(required(args, "user_id"), structured(args, "view"), text_of(args, "hash"))
        return {"view": view}
