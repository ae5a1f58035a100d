"""The page at / in a browser without a window, against `ridgeline serve`.

    page_test.py PROGRAM MODEL FOLDER     FOLDER: for screenshots

Exits with 77 (skipped, for ctest) and a sentence where there is no browser.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

import devtools

PROGRAM = MODEL = FOLDER = ""
ENTER, SHIFT = "\r", 8
KEY = "sk-of-the-page-test"


class Server:
    def __init__(self, *options):
        self.process = subprocess.Popen(
            [PROGRAM, "serve", "-m", MODEL, "--port", "0", "-t", "1", *options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.log = []
        for line in self.process.stdout:
            self.log.append(line)
            if found := re.search(r"https?://\S+:\d+", line):
                self.url = found.group(0)
                break
        else:
            raise RuntimeError("ridgeline serve: " + "".join(self.log))

    def stats(self):
        with urllib.request.urlopen(self.url + "/stats", timeout=10) as answer:
            return json.load(answer)

    def close(self):
        self.process.stdout.close()
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def stream_of(*deltas):
    """An answer as the API streams it."""
    ends = [None] * len(deltas) + ["stop"]
    events = [{"choices": [{"index": 0, "delta": delta, "finish_reason": end}]}
              for delta, end in zip((*deltas, {}), ends)]
    events.append({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}})
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"


class PageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--chat-template", "chatml", "-c", "16384", "--no-request-log")
        cls.addClassCleanup(cls.server.close)
        cls.browser = devtools.Browser(devtools.find_browser())
        cls.addClassCleanup(cls.browser.close)

    def page(self, server=None, refusals=0, **how):
        """`refusals`: so many answers of 4xx are meant to come, each of which the console shows."""
        page = devtools.Page(self.browser, **how)

        def end():
            errors = page.errors[:]
            page.close()
            network = [e for e in errors if e.startswith("Failed to load resource")]
            self.assertEqual([e for e in errors if e not in network], [])
            self.assertEqual(len(network), refusals, network)

        self.addCleanup(end)
        page.open((server or self.server).url + "/")
        return page

    def ask(self, page, text):
        page.type("#input", text)
        page.press("Enter", ENTER)

    def set(self, page, **values):
        for name, value in values.items():
            page.js(f"""(e => {{ e.value = {json.dumps(value)};
                e.dispatchEvent(new Event('input', {{bubbles: true}})); }})
                (document.querySelector('#parameters [name={name}]'))""")

    def answered(self, page):
        page.wait("document.querySelector('#stop').hidden && "
                  "document.querySelector('.turn.assistant')")
        return page.js("[...document.querySelectorAll('.turn.assistant .body')].at(-1).innerText")

    def action(self, page, label):
        """Presses the last button of that name beneath a message."""
        page.js("[...document.querySelectorAll('.turn footer button')]"
                f".findLast(b => b.textContent === '{label}').click()")

    def invent(self, page, body):
        """Answers in the server's place."""
        page.intercept = lambda request_id, _: page.fulfil(request_id, "text/event-stream", body)

    def rewrite(self, page, **more):
        """Adds fields to what the page sends, and returns the list of what it sent."""
        sent = []

        def take(request_id, request):
            sent.append(json.loads(request["postData"]))
            page.go_on(request_id, sent[-1] | more if more else None)

        page.intercept = take
        return sent

    def test_answers_stream_and_stay(self):
        page = self.page()
        page.wait("document.querySelector('#model').textContent === 'fireside-q8_0'")
        # Long enough that a browser on a busy machine draws before it ends.
        self.rewrite(page, ignore_eos=True, max_tokens=1200)
        page.js("""window.lengths = [];
            new MutationObserver(() => {
                const length = document.querySelector('.turn.assistant .body')?.textContent.length;
                if (length && length !== lengths.at(-1)) lengths.push(length);
            }).observe(document.querySelector('#turns'), {subtree: true, childList: true})""")
        self.ask(page, "Once upon a time")
        text = self.answered(page)
        self.assertGreater(len(text), 200)
        lengths = page.js("lengths")
        self.assertGreaterEqual(len(lengths), 2, "it came at once")
        self.assertEqual(lengths, sorted(lengths))
        self.assertRegex(
            page.text(".turn.assistant footer .note"),
            r"1,?200 tokens · [\d.]+ tokens/s · first after [\d.]+ s · prompt \d+.* · cut off")
        page.call("Page.reload")
        page.wait("!window.lengths && document.querySelector('.turn.assistant')")
        self.assertEqual(self.answered(page), text)

    def test_stop_reaches_the_engine(self):
        page = self.page()
        self.rewrite(page, ignore_eos=True, max_tokens=16000)
        before = self.server.stats()["tokens"]["generated"]
        self.ask(page, "Once upon a time")
        page.wait("document.querySelector('.turn.assistant .body')?.textContent.length > 20")
        page.press("Escape")
        self.answered(page)
        self.assertIn("stopped", page.text(".turn.assistant footer .note"))
        end = time.monotonic() + 10
        while self.server.stats()["requests"]["running"] and time.monotonic() < end:
            time.sleep(0.05)
        stats = self.server.stats()
        self.assertEqual(stats["requests"]["running"], 0)
        self.assertLess(stats["tokens"]["generated"] - before, 16000)
        # What was said until then is a part of the conversation.
        sent = self.rewrite(page)
        self.set(page, max_tokens="4")
        self.ask(page, "Go on")
        self.answered(page)
        self.assertEqual([m["role"] for m in sent[0]["messages"]], ["user", "assistant", "user"])

    def test_parameters_are_sent_only_where_set(self):
        page = self.page()
        sent = self.rewrite(page)
        self.set(page, seed="7", max_tokens="24", temperature="1")
        self.ask(page, "A tale")
        first = self.answered(page)
        self.assertEqual(set(sent[0]), {"messages", "stream", "stream_options", "seed",
                                        "max_tokens", "temperature"})

        def again():
            self.action(page, "Retry")
            return self.answered(page)

        self.assertEqual(again(), first)
        self.set(page, seed="8", system="Be brief.", top_p="0.9", top_k="40", min_p="0.05",
                 repetition_penalty="1.1", stop="END\n\\n\\n")
        self.assertNotEqual(again(), first)
        body = sent[-1]
        self.assertEqual(body["messages"], [{"role": "system", "content": "Be brief."},
                                            {"role": "user", "content": "A tale"}])
        wanted = {"seed": 8, "top_p": 0.9, "top_k": 40, "min_p": 0.05, "repetition_penalty": 1.1,
                  "stop": ["END", "\n\n"]}
        self.assertEqual({name: body[name] for name in wanted}, wanted)
        self.set(page, top_p="2")  # the page's own check
        again()
        self.assertIn("Top p", page.text(".error"))
        self.assertEqual(len(sent), 3)

    def test_panel_lives(self):
        page = self.page()
        self.rewrite(page, ignore_eos=True, max_tokens=16000)
        self.ask(page, "Once upon a time")
        page.wait("/^1 of 32/.test(document.querySelector('#running').textContent) && "
                  "document.querySelector('#kv-used').getBoundingClientRect().width > 0")
        page.wait("parseFloat(document.querySelector('#generated').textContent) > 0")
        page.wait("document.querySelector('#generated-line').lastChild.getAttribute('d')"
                  ".split('L').length > 2")
        self.assertRegex(page.text("#latency"), r"First token\s*[\d.]+ m?s")
        self.assertRegex(page.text("#memory"), r"[\d.]+ [MG]iB")
        self.assertEqual(page.text("#rung"), "normal")
        page.wait("/tokens per pass; about [\\d.]+ × plain.*lookup.*recent/"
                  ".test(document.querySelector('#speculation-note').textContent)")
        self.assertFalse(page.js("document.querySelector('#speculation').hidden"))
        self.assertRegex(page.text("#memory-note"), r"drafters [\d.]+ [KM]iB")
        page.click("#stop")
        page.wait("/^0 of/.test(document.querySelector('#running').textContent)")
        # Nothing is asked for a panel that nobody sees.
        page.click("#fold")
        polls = ("performance.getEntriesByType('resource')"
                 ".filter(e => e.name.endsWith('/stats')).length")
        count = page.js(polls)
        time.sleep(2.2)
        self.assertLessEqual(page.js(polls), count + 1)

    def test_reasoning_apart_and_no_html_of_the_model(self):
        page = self.page()
        content = ("# Title\n\nA **bold `word`** <img src=x onerror=alert(1)> & more\n\n"
                   "1. one\n2. two\n\n- a\n- b\n\n```js\nif (a < b) alert('<script>')\n```\nend\n")
        self.invent(page, stream_of(
            {"role": "assistant", "content": ""}, {"reasoning_content": "Let me "},
            {"reasoning_content": "think."}, {"content": content[:40]}, {"content": content[40:]}))
        self.ask(page, "<b>Hello</b>")
        self.answered(page)
        self.assertEqual(page.text(".turn.user .body"), "<b>Hello</b>")
        self.assertEqual(page.text(".reasoning div"), "Let me think.")
        self.assertIsNone(page.js("document.querySelector('#turns :is(img, script, b)')"))
        body = ".turn.assistant .body "
        self.assertEqual(page.text(body + "h3"), "Title")
        self.assertEqual(page.text(body + "strong"), "bold word")
        self.assertEqual(page.text(body + "p"), "A bold word <img src=x onerror=alert(1)> & more")
        self.assertEqual(page.js(f"document.querySelectorAll('{body} :is(ol, ul) > li').length"), 4)
        self.assertEqual(page.text(body + "pre"), "if (a < b) alert('<script>')")
        self.assertIn("end", page.text(body + "p:last-child"))

    def test_errors_are_sentences(self):
        page = self.page(refusals=1)
        self.set(page, max_tokens="100000")
        self.ask(page, "Hello")
        self.answered(page)
        self.assertIn("maximum context length is 16384 tokens", page.text(".error"))
        for body, sentence in (
                (stream_of({"content": "So"}).split("data: [DONE]")[0], "The connection broke"),
                ('data: {"error": {"message": "The engine failed"}}\n\n', "The engine failed.")):
            self.invent(page, body)
            self.ask(page, "Again")
            self.answered(page)
            self.assertIn(sentence, page.text(".turn:last-child .error"))

    def test_copy_edit_and_new(self):
        page = self.page()
        sent = self.rewrite(page)
        self.set(page, max_tokens="8")
        page.type("#input", "first")
        page.press("Enter", ENTER, SHIFT)
        self.assertEqual(page.js("document.querySelector('#input').value"), "first\n")
        self.ask(page, "second")
        text = self.answered(page)
        self.action(page, "Copy")
        page.wait("[...document.querySelectorAll('footer button')].at(-2).textContent === 'Copied'")
        self.assertEqual(page.js("navigator.clipboard.readText()").strip(), text.strip())
        self.action(page, "Edit")
        self.assertEqual(page.js("document.querySelector('#input').value"), "second")
        page.press("Escape")
        self.assertEqual(page.js("document.querySelector('#input').value"), "")
        self.action(page, "Edit")
        self.ask(page, "third")
        self.answered(page)
        self.assertEqual(sent[-1]["messages"], [{"role": "user", "content": "third"}])
        self.assertEqual(page.js("document.querySelectorAll('.turn').length"), 2)
        page.click("#new")
        self.assertEqual(page.js("document.querySelectorAll('.turn').length"), 0)
        self.assertEqual(page.js("localStorage.getItem('ridgeline.conversation')"), "[]")

    def test_key_is_asked_for_and_a_model_without_template_continues_text(self):
        with tempfile.NamedTemporaryFile("w", suffix=".keys") as keys:
            keys.write(f"page {KEY}\n")
            keys.flush()
            server = Server("--api-keys", keys.name, "--no-request-log")
            self.addCleanup(server.close)
            page = self.page(server, refusals=2)
            page.wait("document.querySelector('#key-dialog').open")
            page.type("#key-input", KEY)
            page.press("Enter", ENTER)
            page.wait("document.querySelector('#model').textContent === 'fireside-q8_0'")
            self.assertEqual(page.js("sessionStorage.getItem('ridgeline.key')"), json.dumps(KEY))
            self.set(page, max_tokens="12", seed="3")
            self.ask(page, "Once upon a time there")
            self.answered(page)
            self.assertIn("has no chat template", page.text(".error"))
            sent = self.rewrite(page)
            page.click(".error button")
            self.assertGreater(len(self.answered(page)), 10)
            self.assertEqual(sent[0]["prompt"], "Once upon a time there")
            self.assertIn("Plain completion", page.text("#mode"))

    def test_looks(self):
        content = ("There was once a miller who had **three sons**, and a `cat`:\n\n"
                   "1. the eldest got the mill,\n2. the second the ass,\n3. the youngest the cat."
                   "\n\n```python\ndef tale():\n    return \"Once upon a time\"\n```\n\n"
                   "The youngest was sad at first.")
        phone = {"width": 390, "height": 780, "phone": True}
        for name, how in (("light", {}), ("dark", {}), ("phone", phone), ("phone-dark", phone)):
            page = self.page(**how, scheme="dark" if "dark" in name else "light")
            self.rewrite(page, ignore_eos=True, max_tokens=400)
            self.ask(page, "Once upon a time")
            self.answered(page)
            self.invent(page, stream_of(
                {"reasoning_content": "A tale is wanted, and a short one."}, {"content": content}))
            self.ask(page, "Tell me of the miller")
            self.answered(page)
            fits = "document.documentElement.scrollWidth <= innerWidth"
            self.assertTrue(page.js(fits))
            page.screenshot(FOLDER / f"{name}.png")
            background = page.js("getComputedStyle(document.body).backgroundColor")
            is_dark = max(map(int, re.findall(r"\d+", background))) < 128
            self.assertEqual(is_dark, "dark" in name)
            shown = "document.querySelector('#panel').getClientRects().length > 0"
            self.assertEqual(page.js(shown), "phone" not in name)
            if "phone" in name:
                page.click("#fold")
                self.assertTrue(page.js(shown))
                page.wait("document.querySelector('#rung').textContent === 'normal'")
                page.screenshot(FOLDER / f"{name}-panel.png")
            page.js("document.querySelector('#settings').open = true")
            page.js("document.querySelector('#settings').scrollIntoView()")
            self.assertTrue(page.js(fits))
            page.screenshot(FOLDER / f"{name}-settings.png")


def skip(why):
    print("skipped:", why)
    sys.exit(77)


if __name__ == "__main__":
    PROGRAM, MODEL, FOLDER = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    if not os.path.exists(MODEL):
        skip(f"the model {MODEL} is not there")
    if devtools.find_browser() is None:
        skip("there is no Chromium (Debian: chromium)")
    FOLDER.mkdir(parents=True, exist_ok=True)
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
