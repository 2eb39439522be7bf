"""The partner's HTTP API; sandbox/README.md has its table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Path, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

Key = Annotated[str, Path(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")]


class JobRequest(BaseModel):
    step: Annotated[str, Field(min_length=1, max_length=255)]
    details: Mapping[str, Any]


class Fault(BaseModel):
    """What goes wrong with the next `times` calls: an error's status, an answer after the job that makes no sense."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: Literal["status", "garbage"]
    status: Annotated[int, Field(ge=400, le=599)] = 503
    times: Annotated[int, Field(ge=1)] = 1


class FaultList(BaseModel):
    faults: list[Fault]


@dataclass(frozen=True)
class Job:
    """What was done under a key."""

    id: str
    key: str
    step: str
    details: Mapping[str, Any]


@dataclass
class Jobs:
    """What the partner has done, by key, and what goes wrong next; it forgets both when its process ends."""

    done: dict[str, Job] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def do(self, key: str, request: JobRequest) -> Job:
        """The job of a key: the same however often it is asked for."""
        return self.done.setdefault(key, Job(f"job_{len(self.done) + 1}", key, request.step, request.details))

    def next_fault(self) -> Fault | None:
        """Uses up one fault."""
        return self.faults.pop(0) if self.faults else None


async def jobs(request: Request) -> Jobs:
    provided: Jobs = request.app.state.jobs
    return provided


Needs = Annotated[Jobs, Depends(jobs)]
router = APIRouter()


def create_app(jobs: Jobs) -> FastAPI:
    """Build the partner on its jobs."""
    # FastAPI's own pages would load from elsewhere
    app = FastAPI(title="Partner (sandbox)", docs_url=None, redoc_url=None)
    app.state.jobs = jobs
    app.include_router(router)
    return app


@router.put("/v1/jobs/{key}")
async def do_job(key: Key, body: JobRequest, needs: Needs) -> Response:
    fault = needs.next_fault()
    if fault is not None and fault.action == "status":
        return JSONResponse({"error": {"code": "fault"}}, fault.status)
    job = needs.do(key, body)
    if fault is not None:
        return Response("no JSON")
    return JSONResponse({"id": job.id})


@router.put("/_faults")
async def replace_faults(body: FaultList, needs: Needs) -> FaultList:
    needs.faults[:] = [fault for fault in body.faults for _ in range(fault.times)]
    return body


@router.get("/_jobs")
async def show_jobs(needs: Needs) -> Response:
    return JSONResponse({"items": [vars(job) for job in needs.done.values()]})


@router.get("/health")
async def health() -> Response:
    return JSONResponse({"status": "ok"})
