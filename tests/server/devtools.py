"""A browser without a window, driven over its DevTools pipe: nothing but Python and Chromium."""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

TIMEOUT_SECONDS = 40


def find_browser():
    names = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


def as_base64(text):
    return base64.b64encode(text.encode()).decode()


class Browser:
    """One process; its pages are apart from each other."""

    def __init__(self, program):
        self.profile = tempfile.mkdtemp(prefix="ridgeline-page-")
        # The browser reads commands from descriptor 3 and writes to 4, each ended by a zero.
        command_out, self.commands = os.pipe()
        self.events, event_in = os.pipe()
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (command_out, event_in)]

        def place():
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        self.process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-extensions", "--disable-background-networking",
             "--remote-debugging-pipe", f"--user-data-dir={self.profile}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            pass_fds=(3, 4), preexec_fn=place, start_new_session=True)
        for fd in (command_out, event_in, *ends):
            os.close(fd)
        self.last_id = 0
        self.unread = b""
        self.answers = {}
        self.pages = {}

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # with its helpers
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.commands)
        os.close(self.events)
        shutil.rmtree(self.profile, ignore_errors=True)

    def send(self, method, session=None, **params):
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.commands, data):]
        return self.last_id

    def call(self, method, session=None, **params):
        wanted = self.send(method, session, **params)
        end = time.monotonic() + TIMEOUT_SECONDS
        while wanted not in self.answers:
            if time.monotonic() > end:
                raise TimeoutError(f"{method} is not answered")
            self.pump(0.5)
        answer = self.answers.pop(wanted)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def pump(self, seconds):
        """Takes what the browser says within that time."""
        if not select.select([self.events], [], [], seconds)[0]:
            return
        got = os.read(self.events, 1 << 20)
        if not got:
            raise RuntimeError("the browser has ended")
        *messages, self.unread = (self.unread + got).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self.answers[message["id"]] = message
            elif message.get("sessionId") in self.pages:
                self.pages[message["sessionId"]].on_event(message["method"], message["params"])


class Page:
    """A tab with a storage of its own. `errors`: what the console shows of that level, and
    violations of the content security policy. `intercept`, if set, gets (request id, request) of
    every call of the API and answers by go_on() or fulfil()."""

    def __init__(self, browser, width=1280, height=800, phone=False, scheme="light"):
        self.browser = browser
        self.errors = []
        self.intercept = None
        context = browser.call("Target.createBrowserContext")["browserContextId"]
        self.target = browser.call("Target.createTarget", url="about:blank",
                                   browserContextId=context)["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target,
                                    flatten=True)["sessionId"]
        browser.pages[self.session] = self
        browser.call("Browser.grantPermissions", browserContextId=context,
                     permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Fetch.enable", patterns=[{"urlPattern": "*/v1/*completions"}])
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=2 if phone else 1, mobile=phone)
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": scheme}])

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)
        del self.browser.pages[self.session]

    def on_event(self, method, params):
        if method == "Fetch.requestPaused":
            if self.intercept:
                self.intercept(params["requestId"], params["request"])
            else:
                self.go_on(params["requestId"])
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] == "error":
            self.errors.append(json.dumps(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"] + " " + params["entry"].get("url", ""))

    def go_on(self, request_id, body=None):
        more = {} if body is None else {"postData": as_base64(json.dumps(body))}
        self.browser.send("Fetch.continueRequest", self.session, requestId=request_id, **more)

    def fulfil(self, request_id, content_type, body):
        self.browser.send("Fetch.fulfillRequest", self.session, requestId=request_id,
                          responseCode=200, body=as_base64(body),
                          responseHeaders=[{"name": "Content-Type", "value": content_type}])

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.wait(f"location.href.startsWith({json.dumps(url)})"
                  " && document.readyState === 'complete'")

    def js(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True,
                           returnByValue=True, userGesture=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, expression, seconds=TIMEOUT_SECONDS):
        end = time.monotonic() + seconds
        while True:
            try:
                if self.js(f"Boolean({expression})"):
                    return
            except RuntimeError as error:
                if "context" not in str(error):  # it goes when another page is loaded
                    raise
            if time.monotonic() > end:
                raise TimeoutError(f"never became true: {expression}")
            self.browser.pump(0.02)

    def text(self, selector):
        return self.js(f"document.querySelector({json.dumps(selector)}).textContent")

    def click(self, selector):
        self.js(f"document.querySelector({json.dumps(selector)}).click()")

    def press(self, key, text="", modifiers=0):
        codes = {"Enter": 13, "Escape": 27}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, modifiers=modifiers,
                      text=text if kind == "keyDown" else "", windowsVirtualKeyCode=codes[key])

    def type(self, selector, text):
        self.js("(e => { e.focus(); e.select?.(); })"
                f"(document.querySelector({json.dumps(selector)}))")
        self.call("Input.insertText", text=text)

    def screenshot(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))
