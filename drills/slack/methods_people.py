"""``auth.test``, ``team.info``, ``users.*``, ``usergroups.*`` and ``apps.connections.open``."""

from drills.slack.methods_conversations import paged
from drills.slack.shapes import user_object
from drills.slack.socket_mode import SocketMode
from drills.slack.wire import Json, SlackError, flag, required
from drills.slack.workspace import Workspace


class PeopleMethods:
    """Who is who."""

    def __init__(self, workspace: Workspace, base_url: str, socket_mode: SocketMode | None) -> None:
        self._workspace = workspace
        self._base_url = base_url
        self._socket_mode = socket_mode

    def auth_test(self, _: Json) -> Json:
        """``auth.test``."""
        team, app = self._workspace.team, self._workspace.app
        return {"url": f"{self._base_url}/", "team": team.name, "user": self._workspace.users[app.user].name,
                "team_id": team.id, "user_id": app.user, "bot_id": app.bot_id,
                "is_enterprise_install": False}  # fmt: skip

    def open_connection(self, _: Json) -> Json:
        """``apps.connections.open``: where to connect for Socket Mode."""
        if self._socket_mode is None:
            raise SlackError("socket_mode_not_enabled")
        host = self._base_url.removeprefix("http")
        app_id = self._workspace.app.id
        return {"url": f"ws{host}/link/?ticket={self._socket_mode.ticket()}&app_id={app_id}"}

    def team_info(self, _: Json) -> Json:
        """``team.info``."""
        team = self._workspace.team
        return {"team": {"id": team.id, "name": team.name, "domain": team.domain, "email_domain": "",
                         "icon": {"image_default": True}}}  # fmt: skip

    def users_list(self, args: Json) -> Json:
        """``users.list``: the workspace's own people, in pages."""
        own = [u for u in self._workspace.users.values() if not u.is_stranger]
        page, cursor = paged(own, args, default=200)
        return {"members": [user_object(self._workspace, u) for u in page], "cache_ts": int(self._workspace.now()),
                **cursor}  # fmt: skip

    def users_info(self, args: Json) -> Json:
        """``users.info``: also of people met in shared channels."""
        return {"user": user_object(self._workspace, self._workspace.user(required(args, "user")))}

    def lookup_by_email(self, args: Json) -> Json:
        """``users.lookupByEmail``: nobody is found who was deactivated."""
        email = required(args, "email").strip().casefold()
        found = [u for u in self._workspace.users.values()
                 if email and u.email.casefold() == email and not (u.deleted or u.is_stranger or u.is_bot)]  # fmt: skip
        if not found:
            raise SlackError("users_not_found")
        return {"user": user_object(self._workspace, found[0])}

    def usergroups_list(self, args: Json) -> Json:
        """``usergroups.list``."""
        groups = []
        for group in self._workspace.usergroups.values():
            body: Json = {"id": group.id, "team_id": self._workspace.team.id, "is_usergroup": True,
                          "is_subteam": True, "name": group.name, "handle": group.handle, "description": "",
                          "is_external": False, "date_create": 0, "date_update": 0, "date_delete": 0,
                          "user_count": len(group.users)}  # fmt: skip
            if flag(args, "include_users"):
                body["users"] = list(group.users)
            groups.append(body)
        return {"usergroups": groups}

    def usergroup_users(self, args: Json) -> Json:
        """``usergroups.users.list``."""
        group = self._workspace.usergroups.get(required(args, "usergroup"))
        if group is None:
            raise SlackError("no_such_subteam")
        return {"users": list(group.users)}
