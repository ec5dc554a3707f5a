"""Judges many small edits of one program by its own tests.

Collects the tests once and forks for each edit: the child swaps the code of the edited functions and
runs the tests. GRAFTER_JOB names the order (JSON), GRAFTER_RESULT the file that takes a line per answer.
"""
import gc
import json
import os
import resource
import selectors
import signal
import sys
import threading
import time
import types

with open(os.environ.pop("GRAFTER_JOB"), encoding="utf-8") as order:
    JOB = json.load(order)
RESULT = open(os.environ.pop("GRAFTER_RESULT"), "a", encoding="utf-8")
ROOT = os.getcwd()
MEMORY = 4 << 30
SOURCES = {os.path.realpath(os.path.join(ROOT, path)): path for path in JOB["sources"]}


def tell(answer):
    RESULT.write(json.dumps(answer) + "\n")
    RESULT.flush()


def source_of(known, name):
    """The path of a source as the order has it, or None."""
    if name not in known:
        known[name] = SOURCES.get(os.path.realpath(name))
    return known[name]


class Slow(BaseException):
    pass


def late(_signal, _frame):
    raise Slow


def run(item, following):
    """Runs one test; returns how it ended and why it failed."""
    from _pytest.runner import runtestprotocol

    reports = runtestprotocol(item, log=False, nextitem=following)
    failed = next((report for report in reports if report.failed), None)
    if failed is not None:
        return "failed", str(getattr(failed, "longreprtext", ""))
    passed = any(report.when == "call" and report.passed for report in reports)
    return ("passed" if passed else "skipped"), ""


def followed(items):
    return zip(items, items[1:] + [None])


class Trace:
    """Runs every test and counts which lines of the sources failing and passing ones run."""

    def pytest_runtestloop(self, session):
        signal.signal(signal.SIGALRM, late)
        end = time.monotonic() + JOB["seconds"]
        counts, known = {}, {}
        for item, following in followed(session.items):
            hits = set()

            def lines(frame, event, _arg):
                if event == "line":
                    hits.add((frame.f_code.co_filename, frame.f_lineno))
                return lines

            def calls(frame, _event, _arg):
                return lines if source_of(known, frame.f_code.co_filename) else None

            begin = time.monotonic()
            signal.setitimer(signal.ITIMER_REAL, max(0.1, min(20.0, end - begin)))
            threading.settrace(calls)
            sys.settrace(calls)
            try:
                status, why = run(item, following)
            except Slow:
                status, why = "failed", "it does not end"
            finally:
                sys.settrace(None)
                threading.settrace(None)
                signal.setitimer(signal.ITIMER_REAL, 0)
            took = int((time.monotonic() - begin) * 1000)
            tell({"id": item.nodeid, "status": status, "ms": took, "error": why[-2000:]})
            if status != "skipped":
                for name, line in hits:
                    path = source_of(known, name)
                    count = counts.setdefault(path, {}).setdefault(line, [0, 0])
                    count[0 if status == "failed" else 1] += 1
            if time.monotonic() > end:
                break
        rows = [[path, line, *count] for path in counts for line, count in counts[path].items()]
        tell({"lines": rows})
        return True


class Fresh(Exception):
    """An edit that needs the program imported anew."""


def functions(code):
    """Code of functions that a module defines, those of its classes included."""
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            if const.co_flags & 1:
                yield const
            else:
                yield from functions(const)


def shape(code):
    """What a module does when it is imported, without what its functions do."""
    consts = tuple(
        (const.co_name if const.co_flags & 1 else shape(const))
        if isinstance(const, types.CodeType)
        else (type(const), repr(const))
        for const in code.co_consts
    )
    return code.co_code, code.co_names, consts


def edited(candidate):
    with open(os.path.join(ROOT, candidate["path"]), "rb") as file:
        text = file.read()
    for begin, end, new in sorted(candidate["edits"], reverse=True):
        text = text[:begin] + new.encode() + text[end:]
    return text


def compiled(path, text):
    return compile(text, os.path.join(ROOT, path), "exec", dont_inherit=True)


class Swapper:
    """Puts edited functions in the place of those that are there."""

    def __init__(self):
        self.live, self.base, known = {}, {}, {}
        for thing in gc.get_objects():
            if type(thing) is types.FunctionType:
                code = thing.__code__
                path = source_of(known, code.co_filename)
                if path is not None:
                    key = (path, code.co_name, code.co_firstlineno)
                    self.live.setdefault(key, []).append(thing)

    def swap(self, candidate):
        path = candidate["path"]
        if path not in self.base:
            self.base[path] = compiled(path, edited({"path": path, "edits": []}))
        base, new = self.base[path], compiled(path, edited(candidate))
        olds, news = list(functions(base)), list(functions(new))
        if len(olds) != len(news) or shape(base) != shape(new):
            raise Fresh
        swapped = False
        for old, code in zip(olds, news):
            if old != code:
                for function in self.live.get((path, old.co_name, old.co_firstlineno), ()):
                    try:
                        function.__code__ = code
                    except ValueError:
                        raise Fresh from None
                    swapped = True
        if not swapped:
            raise Fresh


def verdict(items):
    """Runs the tests that are to pass first, then, if they all do, the others."""
    wanted, failing = set(JOB["targets"]), set(JOB["failing"]) | set(JOB["hints"])
    first = [item for item in items if item.nodeid in wanted]
    others = [item for item in items if item.nodeid not in wanted]
    passed = 0
    for item, following in followed(first):
        status, _ = run(item, following)
        if status != "passed":
            return {"answer": "no", "fixed": passed}
        passed += 1
    fixed = passed
    for item, following in followed(others):
        status, _ = run(item, following)
        if item.nodeid in failing:
            fixed += status == "passed"
        elif status == "failed":
            return {"answer": "no", "fixed": passed}
    return {"answer": "yes" if passed else "no", "fixed": fixed}


class Forks:
    """Judges candidates, each in a child of its own, several at once."""

    def __init__(self, work):
        self.work, self.running, self.enough = work, {}, JOB["enough"]
        self.selector = selectors.DefaultSelector()

    def start(self, index, candidate):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            self.inside(writing, candidate)
        os.close(writing)
        self.selector.register(reading, selectors.EVENT_READ, child)
        end = time.monotonic() + JOB["deadline_ms"] / 1000
        self.running[child] = [index, reading, end, b""]

    def inside(self, writing, candidate):
        try:
            os.setpgid(0, 0)
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            nothing = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nothing, stream)
            try:
                answer = self.work(candidate)
            except Fresh:
                answer = {"answer": "fresh", "fixed": 0}
            os.write(writing, json.dumps(answer).encode())
        except BaseException:
            pass
        finally:
            os._exit(0)

    def end(self, child, answer):
        index, reading, _, text = self.running.pop(child)
        self.selector.unregister(reading)
        os.close(reading)
        for who in (lambda: os.killpg(child, signal.SIGKILL), lambda: os.kill(child, signal.SIGKILL)):
            try:
                who()
            except ProcessLookupError:
                pass
        os.waitpid(child, 0)
        if answer is None:
            try:
                answer = json.loads(text)
            except ValueError:
                answer = {"answer": "no", "fixed": 0}
        tell({"index": index, **answer})
        if answer["answer"] == "yes":
            # Nothing better comes than what mends all that fails.
            most = len(JOB["failing"]) + len(JOB["hints"])
            self.enough -= self.enough if answer["fixed"] >= most else 1

    def all(self, candidates):
        waiting = list(enumerate(candidates))[::-1]
        most = os.cpu_count() or 1
        close = time.monotonic() + JOB["seconds"]
        while self.running or (waiting and self.enough > 0 and time.monotonic() < close):
            while waiting and len(self.running) < most and self.enough > 0 and time.monotonic() < close:
                self.start(*waiting.pop())
            nearest = min(job[2] for job in self.running.values())
            for key, _ in self.selector.select(max(0.0, nearest - time.monotonic())):
                read = os.read(key.fd, 65536)
                self.running[key.data][3] += read
                if not read:
                    self.end(key.data, None)
            now = time.monotonic()
            for child in [child for child, job in self.running.items() if job[2] <= now]:
                self.end(child, {"answer": "no", "fixed": 0, "late": True})


class Warm:
    """Judges in children that have collected the tests already."""

    def pytest_runtestloop(self, session):
        swapper = Swapper()
        gc.freeze()

        def work(candidate):
            try:
                swapper.swap(candidate)
            except (SyntaxError, ValueError):
                return {"answer": "no", "fixed": 0}
            return verdict(session.items)

        Forks(work).all(JOB["candidates"])
        return True


def cold(arguments):
    """Judges in children that import the program anew, with the edited source in its place."""
    import importlib.machinery as machinery

    import pytest

    def work(candidate):
        where = os.path.realpath(os.path.join(ROOT, candidate["path"]))
        usual, answers = machinery.SourceFileLoader.get_code, []

        def get_code(loader, name):
            if os.path.realpath(loader.path) != where:
                return usual(loader, name)
            return compiled(candidate["path"], edited(candidate))

        class Once:
            @pytest.hookimpl(tryfirst=True)
            def pytest_runtestloop(self, session):
                answers.append(verdict(session.items) if not session.testsfailed else None)
                return True

        machinery.SourceFileLoader.get_code = get_code
        pytest.main(arguments, plugins=[Once()])
        return (answers and answers[0]) or {"answer": "no", "fixed": 0}

    Forks(work).all(JOB["candidates"])


def main():
    sys.path[0] = ROOT
    sys.dont_write_bytecode = True
    import pytest

    arguments = sys.argv[1:] + ["-q", "-s", "-p", "no:cacheprovider"]
    if JOB["mode"] == "cold":
        return cold(arguments)
    plugin = {"trace": Trace, "warm": Warm}[JOB["mode"]]
    plugin.pytest_runtestloop = pytest.hookimpl(tryfirst=True)(plugin.pytest_runtestloop)
    pytest.main(arguments, plugins=[plugin()])


main()
