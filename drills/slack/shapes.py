"""How Slack writes users, channels and the app down in its answers."""

from drills.slack.seed import User
from drills.slack.wire import Json
from drills.slack.workspace import PALETTE, Channel, Workspace


def user_object(workspace: Workspace, user: User) -> Json:
    """A ``user`` as of ``users.info``."""
    foreign = bool(user.team_id) and user.team_id != workspace.team.id
    team = user.team_id or workspace.team.id
    bot = {"bot_id": workspace.app.bot_id, "api_app_id": workspace.app.id} if user.is_bot else {}
    body: Json = {
        "id": user.id,
        "team_id": team,
        "name": user.name,
        "deleted": user.deleted,
        "color": color(workspace, user.id),
        "real_name": user.real_name,
        "tz": user.tz,
        "tz_label": user.tz,
        "profile": {
            "title": user.title, "real_name": user.real_name, "real_name_normalized": user.real_name,
            "display_name": user.name, "display_name_normalized": user.name, "team": team,
            "status_text": "", "status_emoji": "", **bot, **_address(workspace, user),
        },
        "is_admin": user.is_admin,
        "is_owner": False,
        "is_primary_owner": False,
        "is_restricted": user.is_restricted,
        "is_ultra_restricted": user.is_ultra_restricted,
        "is_bot": user.is_bot,
        "is_app_user": False,
        "updated": 1,
    }  # fmt: skip
    if user.email and not user.is_bot:
        body["is_email_confirmed"] = user.is_email_confirmed
    if foreign or user.is_stranger:
        body["is_stranger"] = user.is_stranger
        for key in ("is_admin", "is_owner", "is_primary_owner"):
            body.pop(key)
    if user.deleted:
        for key in ("color", "real_name", "tz", "tz_label"):
            body.pop(key)
    return body


def _address(workspace: Workspace, user: User) -> Json:
    """The e-mail address, which only an app with ``users:read.email`` is told, and only of its own workspace."""
    own = not user.is_stranger and user.team_id in ("", workspace.team.id)
    return {"email": user.email} if user.email and own and "users:read.email" in workspace.app.scopes else {}


def color(workspace: Workspace, user_id: str) -> str:
    """The hex colour of somebody's name."""
    return PALETTE[list(workspace.users).index(user_id) % len(PALETTE)]


def channel_object(workspace: Workspace, channel: Channel) -> Json:
    """A ``channel`` as of ``conversations.info``."""
    is_member = workspace.app.user in channel.members
    shared: Json = {"is_ext_shared": channel.is_ext_shared, "is_pending_ext_shared": channel.is_pending_ext_shared}
    if channel.is_im:
        other = next((m for m in channel.members if m != workspace.app.user), workspace.app.user)
        return {"id": channel.id, "created": channel.created, "is_im": True, "is_mpim": len(channel.members) > 2,
                "is_org_shared": False, "user": other, "is_user_deleted": False, **shared}  # fmt: skip
    return {
        "id": channel.id,
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": not channel.is_private,
        "is_group": channel.is_private,
        "is_im": False,
        "is_mpim": False,
        "is_private": channel.is_private,
        "created": channel.created,
        "creator": channel.creator,
        "is_archived": channel.is_archived,
        "is_general": channel.name == "general",
        "is_shared": channel.is_ext_shared,
        "is_org_shared": False,
        **shared,
        "context_team_id": workspace.team.id,
        "is_member": is_member,
        "num_members": len(channel.members),
        "topic": {"value": channel.topic, "creator": "", "last_set": 0},
        "purpose": {"value": channel.purpose, "creator": "", "last_set": 0},
    }


def bot_author(workspace: Workspace) -> Json:
    """What makes a message one of the app's."""
    app = workspace.app
    profile = {"id": app.bot_id, "app_id": app.id, "name": app.name, "deleted": False, "updated": 1,
               "team_id": workspace.team.id, "icons": {}}  # fmt: skip
    return {"user": app.user, "bot_id": app.bot_id, "app_id": app.id, "bot_profile": profile}


def short_user(workspace: Workspace, user: User) -> Json:
    """The ``user`` of an interaction."""
    return {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team_id or workspace.team.id}
