"""Files: the two-step upload of ``files.getUploadURLExternal`` and ``files.completeUploadExternal``, and downloads."""

import secrets
from dataclasses import dataclass

from aiohttp import web

from drills.slack.shapes import bot_author
from drills.slack.wire import Json, SlackError, required, structured, text_of
from drills.slack.workspace import Workspace

LARGEST = 20 * 1024 * 1024
_SHOWN_INLINE = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}


@dataclass(kw_only=True, slots=True)
class StoredFile:
    """A file and what is known of it."""

    id: str
    name: str
    length: int
    ticket: str
    content: bytes | None = None
    title: str = ""

    @property
    def picture_type(self) -> str:
        """The type of a picture by its first bytes; empty for anything else, whatever its name says."""
        content = self.content or b""
        return next((kind for start, kind in _SHOWN_INLINE.items() if content.startswith(start)), "")


class Files:
    """Files of the app, in memory."""

    def __init__(self, workspace: Workspace, base_url: str) -> None:
        self._workspace = workspace
        self._base_url = base_url
        self._files: dict[str, StoredFile] = {}

    def get_upload_url(self, args: Json) -> Json:
        """``files.getUploadURLExternal``."""
        length = text_of(args, "length")
        if not length.isdecimal() or not 0 < int(length) <= LARGEST:
            raise SlackError("invalid_arguments", ["[ERROR] invalid required field: length"])
        stored = StoredFile(id=self._workspace.new_id("F"), name=required(args, "filename"), length=int(length),
                            ticket=secrets.token_urlsafe(18))  # fmt: skip
        self._files[stored.id] = stored
        return {"upload_url": f"{self._base_url}/upload/v1/{stored.ticket}", "file_id": stored.id}

    def complete_upload(self, args: Json) -> Json:
        """``files.completeUploadExternal``: shares what has been uploaded in a channel or thread."""
        wanted = structured(args, "files")
        if not isinstance(wanted, list) or not wanted:
            raise SlackError("invalid_arguments", ["[ERROR] missing required field: files"])
        objects = []
        for item in wanted:
            stored = self._files.get(str(item.get("id")))
            if stored is None or stored.content is None:
                raise SlackError("file_not_found")
            stored.title = str(item.get("title") or stored.name)
            objects.append(self.file_object(stored))
        target = text_of(args, "channel_id") or text_of(args, "channels").partition(",")[0]
        if target:
            self._share(target, objects, args)
        return {"files": objects}

    async def upload(self, request: web.Request) -> web.Response:
        """Where the bytes go."""
        stored = next((f for f in self._files.values() if f.ticket == request.match_info["ticket"]), None)
        if stored is None or stored.content is not None:
            raise web.HTTPNotFound(text="unknown or used upload address")
        if request.content_type == "multipart/form-data":
            parts = [value for value in (await request.post()).values() if isinstance(value, web.FileField)]
            content = parts[0].file.read() if parts else b""
        else:
            content = await request.read()
        if len(content) != stored.length:
            raise web.HTTPBadRequest(text=f"expected {stored.length} bytes, got {len(content)}")
        stored.content = content
        return web.Response(text=f"OK - {len(content)}")

    async def download(self, request: web.Request) -> web.Response:
        """A file, for the page. Nothing but a real picture is shown by the browser."""
        stored = self._files.get(request.match_info["file"])
        if stored is None or stored.content is None:
            raise web.HTTPNotFound
        headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}
        if not stored.picture_type:
            headers["Content-Disposition"] = f'attachment; filename="{stored.id}"'
        kind = stored.picture_type or "application/octet-stream"
        return web.Response(body=stored.content, content_type=kind, headers=headers)

    def file_object(self, stored: StoredFile) -> Json:
        """A ``file`` as Slack writes it down."""
        address = f"{self._base_url}/files/{stored.id}"
        suffix = stored.name.rpartition(".")[2].lower()
        return {"id": stored.id, "name": stored.name, "title": stored.title or stored.name, "filetype": suffix,
                "mimetype": stored.picture_type or "application/octet-stream", "size": stored.length, "mode": "hosted",
                "user": self._workspace.app.user, "url_private": address, "url_private_download": address,
                "permalink": address}  # fmt: skip

    def _share(self, target: str, objects: list[Json], args: Json) -> None:
        channel = self._workspace.visible_channel(target)
        if self._workspace.app.user not in channel.members:
            raise SlackError("not_in_channel")
        body = {**bot_author(self._workspace), "subtype": "file_share", "files": objects, "upload": True,
                "text": text_of(args, "initial_comment")}  # fmt: skip
        if thread_ts := text_of(args, "thread_ts"):
            body["thread_ts"] = thread_ts
        self._workspace.post(channel.id, body)
