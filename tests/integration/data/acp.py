# The other end of the Agent Client Protocol, for agents that tests play. What an agent does is
# written below this text by its test.
import json, os, sys, time

asked = 0

def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()

def receive():
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    return json.loads(line)

def answer(message, **result):
    send({"id": message["id"], "result": result})

def refuse(message, code, text):
    send({"id": message["id"], "error": {"code": code, "message": text}})

def ask(method, **params):
    """Asks the client, and returns its result or the words of its refusal."""
    global asked
    asked += 1
    send({"id": asked, "method": method, "params": {"sessionId": "s", **params}})
    while True:
        message = receive()
        if message.get("id") == asked and "method" not in message:
            return message["result"] if "result" in message else message["error"]["message"]

def update(news, **fields):
    told = {"sessionUpdate": news, **fields}
    send({"method": "session/update", "params": {"sessionId": "s", "update": told}})

def say(text):
    update("agent_message_chunk", content={"type": "text", "text": text})

def hello(version=1, ways=()):
    message = receive()
    assert message["method"] == "initialize", message
    methods = [{"id": way, "name": way} for way in ways]
    answer(message, protocolVersion=version, agentCapabilities={}, authMethods=methods)

def session():
    message = receive()
    assert message["method"] == "session/new", message
    answer(message, sessionId="s")
    return message["params"]["cwd"]

def prompt():
    message = receive()
    assert message["method"] == "session/prompt", message
    return message, message["params"]["prompt"][0]["text"]

def end(message, **more):
    answer(message, stopReason="end_turn", **more)

def begin():
    hello()
    root = session()
    return (root, *prompt())

def gate():
    open("waiting", "w").close()
    while not os.path.exists("go"):
        time.sleep(0.01)
    os.remove("waiting")
    os.remove("go")

