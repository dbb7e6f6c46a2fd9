import json, sys, uuid, zmq
server = zmq.Context().socket(zmq.REQ)
server.linger, server.rcvtimeo = 0, 70_000
server.connect(sys.argv[1])
def ask(**request):
    server.send_json({"id": str(uuid.uuid4()), "deadlineMs": 60_000, **request})
    reply, *parts = server.recv_multipart()
    return parts if "failure" not in json.loads(reply) else sys.exit(reply.decode())
ask(arm={"trigger": "soft"}), ask(trigger={}), ask(wait={})
open(sys.argv[2], "wb").write(ask(image={"udf": "sumsig", "format": sys.argv[2].split(".")[-1]})[0])
