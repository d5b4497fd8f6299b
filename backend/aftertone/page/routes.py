"""The page's routes: / and /projects/{project} for browsers, what is behind their players and buttons, /status."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial, wraps

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from aftertone.archive import PREDICTIONS, formats, request_archive
from aftertone.errors import NotKeptError
from aftertone.options import known_settings
from aftertone.page import children, live, rendering, search, sounds
from aftertone.page.access import EMBEDDED_HERE_ALONE, NotAllowedError, check_button, check_embedding, check_reader
from aftertone.page.forms import UPLOAD, body, fields
from aftertone.page.listening import Heard
from aftertone.settings import Settings
from aftertone.status import ProjectStatus, Status, status
from aftertone.steering import Steering
from aftertone.store.exports import ExportFolder
from aftertone.store.project import ProjectStore, Store
from aftertone_model.errors import AftertoneError

Handler = Callable[[Request], Awaitable[Response]]
Do = Callable[[Steering, int, dict[str, str]], str]

MOST_UPLOADS = 5  # that arrive at a time
LISTENING_SECONDS = 90.0  # that it may take to listen to it, or to write a table; a connection is closed after 120
STATIC = ("htmx.min.js", "sse.min.js", "page.js", "page.css", "icon.svg")
BUTTONS: dict[str, Do] = {
    "pause": lambda steering, project, _: steering.pause(project),
    "resume": lambda steering, project, _: steering.resume(project),
    "train": lambda steering, project, _: steering.train(project),
    "cancel": lambda steering, project, _: steering.cancel(project),
    "ask": lambda steering, project, form: steering.ask(project, form.get("clips", "").split()),
    "rollback": lambda steering, project, form: steering.rollback(project, _number(form.get("round", ""))),
}
"""What the form's `do` says -> what is done."""


def wants_page(request: Request) -> bool:
    """Whether a browser asks; Label Studio and programs take anything, and get JSON."""
    return "text/html" in request.headers.get("accept", "")


class Page:
    """The handlers, over one store."""

    def __init__(self, settings: Settings, steering: Steering) -> None:
        self._store, self._steering = Store(settings.model_dir), steering
        self._asks_password = bool(settings.basic_auth_user)
        self._settings, self._streams, self._arriving, self._children = settings, 0, 0, 0

    async def index(self, request: Request) -> Response:
        """Every project; the one that there is, where there is only one."""
        check_reader(request, asks_password=self._asks_password)
        found = await run_in_threadpool(partial(status, self._store, ask=False, brief=True))
        return rendering.page("index.html", found=found)

    async def document(self, request: Request) -> Response:
        """The status document."""
        check_reader(request, asks_password=self._asks_password)
        found = await run_in_threadpool(partial(status, self._store, ask=False))
        body = await run_in_threadpool(partial(found.model_dump_json, by_alias=True))
        return Response(
            body, media_type="application/json", headers={**EMBEDDED_HERE_ALONE, "Cache-Control": "no-store"}
        )

    async def project(self, request: Request) -> Response:
        """One project."""
        check_reader(request, asks_password=self._asks_password)
        return await run_in_threadpool(self._show, _project(request))

    async def press(self, request: Request) -> Response:
        """Do what a button says, and show the project with the sentence that follows."""
        check_button(request, asks_password=self._asks_password)
        project, form = _project(request), await fields(request)
        buttons = {**BUTTONS, "export": self._export}
        do = buttons.get(form.get("do", ""))
        if do is None:
            raise AftertoneError(f"There is no such button. There are: {', '.join(buttons)}.")
        try:
            said, status = await run_in_threadpool(do, self._steering, project, form), 200
        except NotKeptError:
            raise
        except AftertoneError as error:
            said, status = str(error), 400
        return await run_in_threadpool(self._show, project, said, status)

    def _export(self, _: Steering, project: int, form: dict[str, str]) -> str:
        """Have the newest model's archive made by a process of its own, which may take minutes."""
        store, format = self._store.kept(project), form.get("format", "")
        said = request_archive(store, format)
        children.start("aftertone.archive", [str(project), format], self._settings)
        return said

    async def archive(self, request: Request) -> Response:
        """An archive that was made, as a download."""
        check_embedding(request, asks_password=self._asks_password)
        store, name = self._store.kept(_project(request)), request.path_params["file"]
        path = await run_in_threadpool(ExportFolder(store).archive, name)
        if path is None:
            raise NotKeptError(f"There is no archive {name!r}. Archives go after a day; the page makes another.")
        headers = {**EMBEDDED_HERE_ALONE, "Cache-Control": "no-store"}
        return FileResponse(path, headers=headers, media_type="application/zip", filename=name)

    async def predictions(self, request: Request) -> Response:
        """Every clip with people's label and the served round's prediction, as CSV."""
        check_embedding(request, asks_password=self._asks_password)
        number = _project(request)
        self._store.kept(number)
        async with self._child():
            writing = children.run(
                "aftertone.archive", [str(number), PREDICTIONS], self._settings, b"", seconds=LISTENING_SECONDS
            )
            written = await children.for_caller(request, writing)
        name = f'attachment; filename="aftertone-project-{number}-emotions.csv"'
        headers = {**EMBEDDED_HERE_ALONE, "Cache-Control": "no-store", "Content-Disposition": name}
        return Response(written, media_type="text/csv; charset=utf-8", headers=headers)

    async def search(self, request: Request) -> Response:
        """The unlabelled clips that are most like a clip, or most probably of a class."""
        check_reader(request, asks_password=self._asks_password)
        query, number = request.query_params, _project(request)
        return await run_in_threadpool(self._search, number, query.get("clip", ""), query.get("class", ""))

    async def upload(self, request: Request) -> Response:
        """The unlabelled clips that are most like an audio file, which is forgotten with the answer."""
        check_button(request, asks_password=self._asks_password)
        number = _project(request)
        record = await run_in_threadpool(lambda: search.pool_of(self._store.kept(number)).record)
        kind = request.headers.get("content-type", "")
        if not kind.lower().startswith("multipart/form-data"):
            raise AftertoneError("The form holds no file. Choose an audio file first.")
        # What drips in keeps nobody else from being heard: of these arrive several at a time.
        self._arriving += 1
        try:
            if self._arriving > MOST_UPLOADS:
                raise AftertoneError("Several files arrive just now. Try again in a moment.")
            form = f"Content-Type: {kind}\r\n\r\n".encode("latin-1") + await body(request, UPLOAD)
        finally:
            self._arriving -= 1
        async with self._child():
            listening = children.run(
                "aftertone.page.listening", [str(number), str(record.number)], self._settings, form,
                seconds=LISTENING_SECONDS,
            )  # fmt: skip
            heard = Heard.model_validate_json(await children.for_caller(request, listening))
        return await run_in_threadpool(self._found_like, number, heard)

    @asynccontextmanager
    async def _child(self) -> AsyncIterator[None]:
        """Around a process of its own that somebody waits for: of these there is one at a time."""
        if self._children:
            raise AftertoneError("Somebody else's file is just being listened to, or written. Try again in a moment.")
        self._children += 1
        try:
            yield
        finally:
            self._children -= 1

    async def map(self, request: Request) -> Response:
        """The pool as a picture."""
        check_reader(request, asks_password=self._asks_password)
        return await run_in_threadpool(self._map, _project(request))

    async def events(self, request: Request) -> Response:
        """What moves, as long as somebody looks."""
        check_embedding(request, asks_password=self._asks_password)
        store = self._store.kept(_project(request))
        if self._streams >= live.MOST:
            return Response(status_code=503, headers={"Retry-After": "10"})
        return StreamingResponse(self._stream(store), media_type="text/event-stream", headers=rendering.HEADERS)

    async def _stream(self, store: ProjectStore):
        number = int(store.folder.name)

        def now() -> str:
            found, project = self._read(number)
            return rendering.render("now.html", found=found, project=project)

        self._streams += 1
        try:
            async for event in live.events(store, now):
                yield event
        finally:
            self._streams -= 1

    async def sound(self, request: Request) -> Response:
        """A clip as WAV, or as a picture."""
        check_embedding(request, asks_password=self._asks_password)
        clip, ending = request.path_params["clip"], request.path_params["ending"]
        store = self._store.kept(_project(request))
        samples = await run_in_threadpool(store.samples, clip)
        if samples is None or ending not in ("wav", "png"):
            raise NotKeptError(f"There is no clip {clip!r} in project {store.folder.name}.")
        make, kind = (sounds.wav, "audio/wav") if ending == "wav" else (sounds.spectrogram, "image/png")
        return sounds.answer(request, clip, kind, await run_in_threadpool(make, samples))

    async def static(self, request: Request) -> Response:
        """A script or a style sheet of the page; nothing of a project is in it."""
        name = request.path_params["name"]
        if name not in STATIC:
            raise NotKeptError(f"The page has no file {name!r}.")
        return FileResponse(rendering.STATIC / name, headers={**EMBEDDED_HERE_ALONE, "Cache-Control": "max-age=3600"})

    def _read(self, project: int) -> tuple[Status, ProjectStatus]:
        found = status(self._store, [project], ask=False)
        if not found.projects:
            why = found.refused.get(project) or found.unconfirmed.get(project, "")
            raise NotKeptError(f"Project {project} isn't connected. {why}".rstrip())
        return found, found.projects[0]

    def _search(self, number: int, clip: str, name: str) -> Response:
        store = self._store.kept(number)
        classes = search.pool_of(store).record.classes
        found = search.near_clip(store, clip) if clip else search.near_class(store, name or classes[0])
        return rendering.page(
            "search.html", number=number, found=found, clip=clip, name="" if clip else name or classes[0],
            classes=classes, heard=None, said="", limits=self._limits(store), upload=UPLOAD,
        )  # fmt: skip

    def _found_like(self, number: int, heard: Heard) -> Response:
        store = self._store.kept(number)
        record = search.pool_of(store).record
        found = [] if heard.error else search.near_upload(store, heard.components, heard.predictions)
        said = "" if heard.error else ", ".join(record.label_schema.answer(heard.predictions)) or "nothing"
        return rendering.page(
            "search.html", 400 if heard.error else 200, number=number, found=found, clip="", name="",
            classes=record.classes, heard=heard, said=said, limits=self._limits(store), upload=UPLOAD,
        )  # fmt: skip

    def _limits(self, store: ProjectStore) -> str:
        seconds = known_settings(self._settings, store).max_clip_seconds
        return f"at most {UPLOAD // 1_000_000} MB and {seconds:g} s"

    def _map(self, number: int) -> Response:
        store = self._store.kept(number)
        project = self._read(number)[1]
        asked = {one.task for one in project.next_clips}
        drawn, classes = search.points(store, asked), search.pool_of(store).record.classes
        return rendering.page("map.html", number=number, points=drawn, classes=classes, clips=project.clips)

    def _show(self, number: int, said: str = "", status: int = 200) -> Response:
        found, project = self._read(number)
        return rendering.page("project.html", status, found=found, project=project, said=said, formats=formats())


def page_routes(page: Page, guarded: Callable[[Handler], Handler]) -> list[Route]:
    """The routes but /, which Label Studio asks too.

    Args:
        guarded: lets only those through who give the password, where one is asked for.
    """

    def route(path: str, handle: Handler, *methods: str) -> Route:
        return Route(path, guarded(shown(handle)), methods=list(methods) or None)

    return [
        route("/status", page.document),
        route("/projects/{project}", page.project),
        route("/projects/{project}/do", page.press, "POST"),
        route("/projects/{project}/events", page.events),
        route("/projects/{project}/search", page.search),
        route("/projects/{project}/search", page.upload, "POST"),
        route("/projects/{project}/map", page.map),
        route("/projects/{project}/exports/{file}", page.archive),
        route("/projects/{project}/predictions.csv", page.predictions),
        route("/projects/{project}/clips/{clip}.{ending}", page.sound),
        Route("/static/{name}", shown(page.static)),
    ]


def shown(handle: Handler) -> Handler:
    """What is wrong, told in a page where a browser asks for one; others get the server's usual answer."""

    @wraps(handle)
    async def handled(request: Request) -> Response:
        try:
            return await handle(request)
        except AftertoneError as error:
            if not wants_page(request):
                raise
            status = 403 if isinstance(error, NotAllowedError) else 404 if isinstance(error, NotKeptError) else 400
            return rendering.page("error.html", status, said=str(error))

    return handled


def _project(request: Request) -> int:
    text = request.path_params["project"]
    if not text.isdecimal() or len(text) > 18:
        raise NotKeptError("The address names no project. It looks like /projects/1.")
    return int(text)


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise AftertoneError("Name a round by its number.")
    return int(text)
