"""A client made from proto/ alone: submits a document, finds it, and lists the jobs.

usage: client.py PROTO_DIR ADDRESS TOKEN_FILE
"""

import pathlib
import sys
import tempfile
import time

import grpc
from grpc_tools import protoc

DEADLINE_S = 60
CALL_TIMEOUT_S = 10


def generate(proto_dir: pathlib.Path, out: str) -> None:
    files = [str(path.relative_to(proto_dir)) for path in proto_dir.rglob("*.proto")]
    include = pathlib.Path(protoc.__file__).parent / "_proto"
    arguments = [
        "protoc", f"-I{proto_dir}", f"-I{include}",
        f"--python_out={out}", f"--grpc_python_out={out}", *files,
    ]
    if protoc.main(arguments) != 0:
        sys.exit("the protos do not compile")
    sys.path.insert(0, out)


def main() -> None:
    proto_dir, address, token_file = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    with tempfile.TemporaryDirectory() as out:
        generate(proto_dir, out)
        from commandcenter.hub.v1 import hub_pb2, hub_pb2_grpc
        from commandcenter.ingestion.v1 import ingestion_pb2, ingestion_pb2_grpc
        from commandcenter.jobs.v1 import jobs_pb2, jobs_pb2_grpc
        from commandcenter.knowledge.v1 import knowledge_pb2, knowledge_pb2_grpc

        channel = grpc.insecure_channel(address)
        token = pathlib.Path(token_file).read_text(encoding="utf-8").strip()
        call = {"metadata": [("authorization", f"Bearer {token}")], "timeout": CALL_TIMEOUT_S}

        projects = hub_pb2_grpc.ProjectServiceStub(channel)
        project = projects.CreateProject(hub_pb2.CreateProjectRequest(slug="python"), **call)

        intake = ingestion_pb2_grpc.IntakeServiceStub(channel)
        item = ingestion_pb2.Item(
            external_id="otter", title="Otters", media_type="text/markdown",
            content=b"# Otters\n\nThe otter Zephyrine sleeps on her back.\n",
        )
        submitted = intake.SubmitItems(
            ingestion_pb2.SubmitItemsRequest(project_id=project.id, items=[item]), **call
        )
        assert submitted.results[0].job_id, submitted

        knowledge = knowledge_pb2_grpc.KnowledgeServiceStub(channel)
        request = knowledge_pb2.SearchRequest(query="Zephyrine otter")
        request.filter.project_ids.append(project.id)
        deadline = time.monotonic() + DEADLINE_S
        while not (found := knowledge.Search(request, **call)).results:
            assert time.monotonic() < deadline, "the document was not found in time"
            time.sleep(0.1)
        assert found.results[0].title == "Otters", found

        jobs = jobs_pb2_grpc.JobServiceStub(channel)
        listed = jobs.ListJobs(jobs_pb2.ListJobsRequest(project_ids=[project.id]), **call)
        assert submitted.results[0].job_id in [job.id for job in listed.jobs], listed

        try:
            knowledge.Search(request, timeout=CALL_TIMEOUT_S)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAUTHENTICATED, error
        else:
            sys.exit("a search without a token was answered")
        check_open_services(channel)
    print("submitted, found and listed")


def check_open_services(channel: grpc.Channel) -> None:
    """Health and reflection answer without a token, by hand-written wire bytes."""
    health = channel.unary_unary("/grpc.health.v1.Health/Check")
    serving = b"\x08\x01"
    assert health(b"", timeout=CALL_TIMEOUT_S) == serving, "not serving"
    reflect = channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    )
    list_services = b"\x3a\x01*"
    answer = next(reflect(iter([list_services]), timeout=CALL_TIMEOUT_S))
    assert b"commandcenter.knowledge.v1.KnowledgeService" in answer, answer


if __name__ == "__main__":
    main()
