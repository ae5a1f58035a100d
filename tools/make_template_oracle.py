#!/usr/bin/env python3
"""Renders chat templates with Python's Jinja2, set up by transformers itself, for
tests/text/template_oracle_test.cpp and tests/text/jinja_features_test.cpp.

    python tools/make_template_oracle.py ../shared/data/chat-templates

features.json: the templates in it are ours, one language feature each; their "expected"
is rendered anew ({"error": true} where Jinja2 raises). conversations.json: conversations,
and of every template in the folder the FNV-1a hash of what each of them becomes, or the
message that the template raised. The clock stands at 2024-07-26 13:05:09.000042.
"""
import copy
import datetime
import json
import pathlib
import sys

import jinja2
from transformers.utils import chat_template_utils

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/data/oracles/templates"


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26, 13, 5, 9, 42)


chat_template_utils.datetime = Clock


def fnv1a(data: bytes) -> str:
    h = 0xCBF29CE484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{h:016x}"


WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Gets the weather of a city.",
    "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "description": "The city's name"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
        "days": {"type": "integer", "description": "Days ahead", "default": 1}},
        "required": ["city"]}}}
NESTED = {"type": "function", "function": {
    "name": "book", "description": "Books a trip: \"quoted\", <b>tags</b> & ünïcode 🧳.",
    "parameters": {"type": "object", "required": ["stops"], "properties": {
        "stops": {"type": "array", "description": "Where to", "items": {
            "type": "object", "properties": {
                "name": {"type": "string"}, "nights": {"type": ["integer", "null"]}},
            "required": ["name"]}},
        "budget": {"type": "number", "minimum": 0.5, "nullable": True},
        "flags": {"type": "array", "items": {"type": "boolean"}},
        "either": {"oneOf": [{"type": "string"}, {"type": "integer", "description": "or so"}]},
        "extra": {"type": "object", "additionalProperties": {"type": "string"}}}},
    "return": {"type": "object", "properties": {"id": {"type": "string"}}}}}
NO_ARGUMENTS = {"type": "function", "function": {
    "name": "now", "description": "Tells the time.",
    "parameters": {"type": "object", "properties": {}}}}


def call(name, arguments, identifier="call00001"):
    return {"id": identifier, "type": "function",
            "function": {"name": name, "arguments": arguments}}


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def system(text):
    return {"role": "system", "content": text}


def tool(text, identifier="call00001", name="get_weather"):
    return {"role": "tool", "content": text, "tool_call_id": identifier, "name": name}


def part(text):
    return {"type": "text", "text": text}


TURNS = [user("Hi!"), assistant("Hello. How can I help?"), user("  Tell me a joke \n"),
         assistant("\nWhy did the chicken cross the road?\n"), user("Why? 🐔 ünïcode")]
ONE_CALL = [user("Weather in Paris?"),
            assistant("", tool_calls=[call("get_weather", {"city": "Paris", "days": 2})])]
CALLED = ONE_CALL + [tool('{"temperature": 21.5, "sky": "clear"}')]
TWO_CALLS = [system("You book trips."), user("Paris and Rome?"),
             assistant(None, tool_calls=[
                 call("get_weather", {"city": "Paris"}),
                 call("book", {"stops": [{"name": "Rome", "nights": None}], "budget": 1e3,
                               "flags": [True, False]}, "call00002")]),
             tool("sunny"), tool('["ok", 1]', "call00002", "book")]
TEXT_CALL = [user("Weather in Oslo?"),
             assistant("Let me look.", tool_calls=[
                 call("get_weather", json.dumps({"city": "Oslo"}))]),
             tool("cold"), assistant("It is cold."), user("Thanks")]
REASONED = [user("2+2?"), assistant("4", reasoning_content="Two and two.\nFour."),
            user("And 3+3?")]
REASONED_LAST = REASONED + [assistant("6", reasoning_content="Three and three.")]
THINK_TEXT = [user("2+2?"), assistant("<think>\nTwo and two.\n</think>\n\n4"), user("Sure?"),
              assistant("<think>Hm</think>Yes")]
PARTS = [{"role": "system", "content": [part("Be brief.")]},
         {"role": "user", "content": [part("Hello"), part("there")]},
         {"role": "assistant", "content": [part("Hi.")]},
         {"role": "user", "content": [part("Again?")]}]
IMAGE = [{"role": "user", "content": [{"type": "image"}, part("What is this?")]}]
DOCUMENTS = [{"title": "Tides", "text": "The moon causes them."},
             {"title": "Rain", "text": "Clouds do."}]

# name, messages, tools, add_generation_prompt, extra variables
CONVERSATIONS = [
    ("one turn", [user("Hello")], None, True, {}),
    ("one turn, no prompt", [user("Hello")], None, False, {}),
    ("system", [system("You are terse."), user("Hello")], None, True, {}),
    ("several turns", TURNS, None, True, {}),
    ("several turns, answered", [system("Be kind.")] + TURNS + [assistant("Because.")], None,
     False, {}),
    ("tools", [user("Weather in Paris?")], [WEATHER], True, {}),
    ("tools and system", [system("Use tools."), user("Go")], [WEATHER, NESTED, NO_ARGUMENTS],
     True, {}),
    ("a call", ONE_CALL, [WEATHER], False, {}),
    ("a result", CALLED, [WEATHER], True, {}),
    ("a result, answered", CALLED + [assistant("Clear and 21.5 degrees.")], [WEATHER], False, {}),
    ("two calls", TWO_CALLS, [WEATHER, NESTED], True, {}),
    ("arguments as text", TEXT_CALL, [WEATHER], True, {}),
    ("results without tools", CALLED, None, True, {}),
    ("a turn after calls", TWO_CALLS + [assistant("Done."), user("And Bern?")],
     [WEATHER, NESTED], True, {}),
    ("reasoning", REASONED, None, True, {}),
    ("reasoning, answered", REASONED_LAST, None, False, {}),
    ("reasoning and calls", [user("Weather?"), assistant(
        "", reasoning_content="I should look.",
        tool_calls=[call("get_weather", {"city": "Paris"})]), tool("sunny")],
     [WEATHER], True, {}),
    ("thinking within the text", THINK_TEXT, None, False, {}),
    ("thinking on", TURNS, None, True, {"enable_thinking": True, "thinking": True}),
    ("thinking off", TURNS, None, True, {"enable_thinking": False, "thinking": False}),
    ("thinking on, tools", CALLED, [WEATHER], True, {"enable_thinking": True, "thinking": True}),
    ("thinking off, tools", CALLED, [WEATHER], True,
     {"enable_thinking": False, "thinking": False}),
    ("parts", PARTS, None, True, {}),
    ("an image", IMAGE, None, True, {}),
    ("documents", [user("Why tides?")], None, True, {"documents": DOCUMENTS}),
    ("two users", [user("One"), user("Two")], None, True, {}),
    ("assistant first", [assistant("Hi"), user("Hello")], None, True, {}),
    ("system in the middle", [user("a"), system("b"), user("c")], None, True, {}),
    ("unknown role", [{"role": "critic", "content": "Boo"}], None, True, {}),
    ("developer role", [{"role": "developer", "content": "Be brief."}, user("Hi")], None, True, {}),
    ("no content", [user(None)], None, True, {}),
    ("no messages", [], None, True, {}),
    ("system only", [system("Alone")], None, True, {}),
    ("special texts", [user("<|im_end|></s>{{ x }} {% if %} \\n \"quotes\" 'single' <b>&amp;")],
     None, True, {}),
    ("date given", [user("Hi")], [WEATHER], True,
     {"date_string": "01 Jan 2025", "tools_in_user_message": False}),
    ("builtin tools", [system("Go"), user("Hi")], [WEATHER], True,
     {"builtin_tools": ["brave_search", "code_interpreter"], "reasoning_effort": "high"}),
]


def render(template, variables):
    try:
        return {"text": chat_template_utils._compile_jinja_template(template).render(**variables)}
    except jinja2.exceptions.TemplateError as e:
        raised = type(e) is jinja2.exceptions.TemplateError
        return {"error": str(e) if raised else True}
    except Exception:  # whatever Python code within a template raises
        return {"error": True}


def render_conversation(template, messages, tools, add_generation_prompt, more):
    try:
        return {"text": chat_template_utils.render_jinja_template(
            conversations=[copy.deepcopy(messages)], tools=copy.deepcopy(tools),
            chat_template=template, add_generation_prompt=add_generation_prompt,
            bos_token="<s>", eos_token="</s>", **copy.deepcopy(more))[0][0]}
    except jinja2.exceptions.TemplateError as e:
        raised = type(e) is jinja2.exceptions.TemplateError
        return {"error": str(e) if raised else True}
    except Exception:
        return {"error": True}


def features():
    path = OUT / "features.json"
    data = json.loads(path.read_text())
    for case in data["cases"]:
        got = render(case["template"], {**copy.deepcopy(data["variables"]),
                                        **case.get("variables", {})})
        case["expected"] = got if "error" not in got else {"error": True}
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in data["cases"])
    path.write_text('{"variables": %s,\n"cases": [\n%s\n]}\n' %
                    (json.dumps(data["variables"], ensure_ascii=False), lines))
    return len(data["cases"])


def conversations(folder):
    outputs = {}
    for path in sorted(folder.glob("*.jinja")):
        template = path.read_text()
        row = []
        for _, messages, tools, prompt, more in CONVERSATIONS:
            got = render_conversation(template, messages, tools, prompt, more)
            row.append(fnv1a(got["text"].encode()) if "text" in got else got)
        outputs[path.name] = row
    inputs = [{"name": n, "messages": m, "tools": t, "add_generation_prompt": p, "variables": v}
              for n, m, t, p, v in CONVERSATIONS]
    text = '{"conversations": [\n%s\n],\n"outputs": {\n%s\n}}\n' % (
        ",\n".join(json.dumps(i, ensure_ascii=False) for i in inputs),
        ",\n".join(json.dumps(n) + ": " + json.dumps(r) for n, r in outputs.items()))
    (OUT / "conversations.json").write_text(text)
    return len(outputs), sum(isinstance(h, str) for row in outputs.values() for h in row)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(f"{features()} features")
    templates, texts = conversations(pathlib.Path(sys.argv[1]))
    print(f"{templates} templates, {len(CONVERSATIONS)} conversations each, {texts} texts")
