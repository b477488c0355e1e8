"""The built-in actions, in the order of the action table. Wiring hands them out; nothing registers itself."""

from runbooks.actions.bypass_cache import BypassCache
from runbooks.actions.cap_generation import CapGeneration
from runbooks.actions.clamp_retries import ClampRetries
from runbooks.actions.close_guardrail import CloseGuardrail
from runbooks.actions.degrade_retrieval import DegradeRetrieval
from runbooks.actions.disable_tool import DisableTool
from runbooks.actions.drain_deployment import DrainDeployment
from runbooks.actions.drain_replica import DrainReplica
from runbooks.actions.hold_for_review import HoldForReview
from runbooks.actions.manual import Manual
from runbooks.actions.pin_dependency import PinDependency
from runbooks.actions.post_banner import PostBanner
from runbooks.actions.quarantine_documents import QuarantineDocuments
from runbooks.actions.resume_ingestion import ResumeIngestion
from runbooks.actions.rollback_guardrail import RollbackGuardrail
from runbooks.actions.rollback_model_config import RollbackModelConfig
from runbooks.actions.rollback_prompt import RollbackPrompt
from runbooks.actions.rollback_release import RollbackRelease
from runbooks.actions.rollback_retrieval import RollbackRetrieval
from runbooks.actions.rotate_credential import RotateCredential
from runbooks.actions.scale_engine import ScaleEngine
from runbooks.actions.scale_gateway import ScaleGateway
from runbooks.actions.shed_traffic import ShedTraffic
from runbooks.actions.shift_traffic import ShiftTraffic
from runbooks.actions.suspend_canaries import SuspendCanaries
from runbooks.actions.throttle_tenant import ThrottleTenant
from runbooks.model import AnyAction

BUILT_IN: tuple[AnyAction, ...] = (
    PostBanner(),
    ShedTraffic(),
    ClampRetries(),
    DrainDeployment(),
    DrainReplica(),
    BypassCache(),
    SuspendCanaries(),
    ResumeIngestion(),
    ShiftTraffic(),
    RollbackPrompt(),
    RollbackModelConfig(),
    RollbackRelease(),
    RollbackRetrieval(),
    RollbackGuardrail(),
    DisableTool(),
    DegradeRetrieval(),
    CapGeneration(),
    ScaleGateway(),
    ScaleEngine(),
    ThrottleTenant(),
    QuarantineDocuments(),
    HoldForReview(),
    CloseGuardrail(),
    PinDependency(),
    RotateCredential(),
    Manual(),
)
