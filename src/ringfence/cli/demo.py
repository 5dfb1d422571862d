"""``ringfence demo``: two domains in one process, a sequence of calls, each drawn as a ladder with a verdict.

Everything is real: the domains are made as ``ringfence init`` makes them, in a temporary directory; the nodes are those
of ``ringfence serve``, the phones those of ``ringfence call``; between them are TCP, UDP and TLS on loopback.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from ringfence.cli.demo_verdict import Promise, message_facts, verdict
from ringfence.cli.failure import Exit, Failure, debugging
from ringfence.cli.ladder import draw
from ringfence.cli.options import JsonOption
from ringfence.cli.output import console, print_json
from ringfence.service.logs import configure

if TYPE_CHECKING:
    from ringfence.cli.demo_pair import Stage
    from ringfence.cli.demo_scenes import Scene
    from ringfence.cli.ladder import Arrow

SCENE_SECONDS = 8.0
"""For one scene; each takes less than one second on an idle machine."""

TOTAL_SECONDS = 30.0
"""For all of them: whoever runs it in a pipeline wants an end."""


def demo(
    serve: Annotated[
        bool, typer.Option("--serve", help="Set up a domain, serve it, place one call through it, stay up.")
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="With --serve: end after the call.")] = False,
    directory: Annotated[
        Path | None,
        typer.Option("--dir", metavar="D", help="With --serve: where the domain is. Default: run/DOMAIN."),
    ] = None,
    public: Annotated[
        bool,
        typer.Option(
            "--public", help="With --serve: open the ports to the network, not only to this machine."
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show two domains at work: calls, attacks and what becomes of them. Exit code 1 when a promise is broken."""
    configure(level="debug" if debugging() else "critical", console=True)
    if serve:
        from ringfence.cli.demo_serve import DOMAIN, serve_domain

        raise typer.Exit(serve_domain(directory or Path("run") / DOMAIN, public=public, once=once, json=json))
    if once or public or directory is not None:
        raise Failure(Exit.USAGE, "--once, --public and --dir say how to serve", "write them with --serve")
    import uvloop

    with tempfile.TemporaryDirectory(prefix="ringfence-demo-") as place:
        raise typer.Exit(uvloop.run(_play(Path(place), json)))


async def _play(directory: Path, json: bool) -> Exit:
    from ringfence.cli.demo_pair import build
    from ringfence.cli.demo_scenes import SCENES

    started = time.perf_counter()
    facts: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(TOTAL_SECONDS), AsyncExitStack() as stack:
            stage = await build(directory, stack)
            for scene in SCENES:
                promises = await _perform(scene, stage)
                arrows = stage.recording.arrows()
                facts.append(scene_facts(scene, promises, arrows))
                if not json:
                    _show(scene, promises, arrows)
    except TimeoutError:
        raise Failure(
            Exit.TRY_AGAIN, f"the demo took over {TOTAL_SECONDS:g} s", "run it on an idle machine"
        ) from None
    kept = sum(fact["good"] for fact in facts)
    if json:
        print_json({"good": kept == len(facts), "scenes": facts})
    else:
        seconds = time.perf_counter() - started
        console().print(Text(f"{kept} of {len(facts)} verdicts as promised, in {seconds:.1f} s", "bold"))
    return Exit.GOOD if kept == len(facts) else Exit.NO


async def _perform(scene: Scene, stage: Stage) -> list[Promise]:
    stage.recording.clear(scene.stranger)
    try:
        async with asyncio.timeout(SCENE_SECONDS):
            return await scene.play(stage)
    except Exception as error:  # whatever it is, the promise is broken, and the other scenes are shown
        if debugging():
            raise
        return [Promise(f"the scene comes to its end ({type(error).__name__}: {error})", False)]


def scene_facts(scene: Scene, promises: list[Promise], arrows: list[Arrow]) -> dict[str, Any]:
    """What a scene has shown, for a program."""
    start = arrows[0].time if arrows else 0.0
    return {
        "title": scene.title,
        "requirements": list(scene.requirements),
        "good": all(promise.kept for promise in promises),
        "promises": [promise._asdict() for promise in promises],
        "messages": [message_facts(arrow, start) for arrow in arrows],
    }


def _show(scene: Scene, promises: list[Promise], arrows: list[Arrow]) -> None:
    from ringfence.cli.demo_scenes import REQUIREMENTS

    screen = console()
    screen.print(draw(arrows, title=scene.title, width=min(screen.width, 110)))
    about = ", ".join(f"{number} {REQUIREMENTS[number]}" for number in scene.requirements)
    screen.print(verdict(promises).append(f"  [{about}]", "dim"))
    screen.print()
