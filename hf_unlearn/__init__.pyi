# Written by scripts/make_stub.py.

from .ensembles.audit import audit as audit
from .errors import DivergenceError as DivergenceError
from .errors import PublishingError as PublishingError
from .errors import UnlearningError as UnlearningError
from .evaluation.answers import predict_labels as predict_labels
from .evaluation.comparison import compare as compare
from .models.pretrained import load_image_classifier as load_image_classifier
from .models.pretrained import load_image_processor as load_image_processor
from .publishing.card import record_evaluation as record_evaluation
from .publishing.push import push_folder as push_folder
from .request import ForgetRequest as ForgetRequest
from .request import UnlearningSplits as UnlearningSplits
from .request import forget_splits as forget_splits
from .request import load_image_dataset as load_image_dataset
from .request import make_splits as make_splits
from .request import stream_splits as stream_splits
from .trainers.base.config import PassesConfig as PassesConfig
from .trainers.base.config import UnlearningConfig as UnlearningConfig
from .trainers.base.method import UnlearningMethod as UnlearningMethod
from .trainers.base.paper import cite as cite
from .trainers.base.settings import setting as setting
from .trainers.base.trainer import UnlearningTrainer as UnlearningTrainer
from .trainers.by_memorisation import unlearn_by_memorisation as unlearn_by_memorisation
from .trainers.head_only import unlearn_head_only as unlearn_head_only
from .trainers.methods.amun import AMUNConfig as AMUNConfig
from .trainers.methods.amun import AMUNTrainer as AMUNTrainer
from .trainers.methods.amun_forget import AMUNForgetConfig as AMUNForgetConfig
from .trainers.methods.amun_forget import AMUNForgetTrainer as AMUNForgetTrainer
from .trainers.methods.bad_teacher import BadTeacherConfig as BadTeacherConfig
from .trainers.methods.bad_teacher import BadTeacherTrainer as BadTeacherTrainer
from .trainers.methods.boundary_shrink import BoundaryShrinkConfig as BoundaryShrinkConfig
from .trainers.methods.boundary_shrink import BoundaryShrinkTrainer as BoundaryShrinkTrainer
from .trainers.methods.cola import COLAConfig as COLAConfig
from .trainers.methods.cola import COLATrainer as COLATrainer
from .trainers.methods.delete import DeleteConfig as DeleteConfig
from .trainers.methods.delete import DeleteTrainer as DeleteTrainer
from .trainers.methods.esc import ESCConfig as ESCConfig
from .trainers.methods.esc import ESCTrainer as ESCTrainer
from .trainers.methods.esc_t import ESCTConfig as ESCTConfig
from .trainers.methods.esc_t import ESCTTrainer as ESCTTrainer
from .trainers.methods.fine_tune import FineTuneConfig as FineTuneConfig
from .trainers.methods.fine_tune import FineTuneTrainer as FineTuneTrainer
from .trainers.methods.gradient_ascent import GradientAscentConfig as GradientAscentConfig
from .trainers.methods.gradient_ascent import GradientAscentTrainer as GradientAscentTrainer
from .trainers.methods.head_only import HeadOnlyConfig as HeadOnlyConfig
from .trainers.methods.head_only import HeadOnlyTrainer as HeadOnlyTrainer
from .trainers.methods.jit import JiTConfig as JiTConfig
from .trainers.methods.jit import JiTTrainer as JiTTrainer
from .trainers.methods.l1_sparse import L1SparseConfig as L1SparseConfig
from .trainers.methods.l1_sparse import L1SparseTrainer as L1SparseTrainer
from .trainers.methods.lotus import LoTUSConfig as LoTUSConfig
from .trainers.methods.lotus import LoTUSTrainer as LoTUSTrainer
from .trainers.methods.lotus_forget import LoTUSForgetConfig as LoTUSForgetConfig
from .trainers.methods.lotus_forget import LoTUSForgetTrainer as LoTUSForgetTrainer
from .trainers.methods.mask_logit import MaskLogitConfig as MaskLogitConfig
from .trainers.methods.mask_logit import MaskLogitTrainer as MaskLogitTrainer
from .trainers.methods.mu_mis import MUMisConfig as MUMisConfig
from .trainers.methods.mu_mis import MUMisTrainer as MUMisTrainer
from .trainers.methods.neggrad_plus import NegGradPlusConfig as NegGradPlusConfig
from .trainers.methods.neggrad_plus import NegGradPlusTrainer as NegGradPlusTrainer
from .trainers.methods.random_labels import RandomLabelsConfig as RandomLabelsConfig
from .trainers.methods.random_labels import RandomLabelsTrainer as RandomLabelsTrainer
from .trainers.methods.regun import ReGUnConfig as ReGUnConfig
from .trainers.methods.regun import ReGUnTrainer as ReGUnTrainer
from .trainers.methods.retrain import RetrainConfig as RetrainConfig
from .trainers.methods.retrain import RetrainTrainer as RetrainTrainer
from .trainers.methods.salun import SalUnConfig as SalUnConfig
from .trainers.methods.salun import SalUnTrainer as SalUnTrainer
from .trainers.methods.salun_forget import SalUnForgetConfig as SalUnForgetConfig
from .trainers.methods.salun_forget import SalUnForgetTrainer as SalUnForgetTrainer
from .trainers.methods.scar import SCARConfig as SCARConfig
from .trainers.methods.scar import SCARTrainer as SCARTrainer
from .trainers.methods.scrub import ScrubConfig as ScrubConfig
from .trainers.methods.scrub import ScrubTrainer as ScrubTrainer
from .trainers.methods.spotter import SpotterConfig as SpotterConfig
from .trainers.methods.spotter import SpotterTrainer as SpotterTrainer
from .trainers.methods.ssd import SSDConfig as SSDConfig
from .trainers.methods.ssd import SSDTrainer as SSDTrainer

__version__: str
__all__ = [
    "AMUNConfig",
    "AMUNForgetConfig",
    "AMUNForgetTrainer",
    "AMUNTrainer",
    "BadTeacherConfig",
    "BadTeacherTrainer",
    "BoundaryShrinkConfig",
    "BoundaryShrinkTrainer",
    "COLAConfig",
    "COLATrainer",
    "DeleteConfig",
    "DeleteTrainer",
    "DivergenceError",
    "ESCConfig",
    "ESCTConfig",
    "ESCTTrainer",
    "ESCTrainer",
    "FineTuneConfig",
    "FineTuneTrainer",
    "ForgetRequest",
    "GradientAscentConfig",
    "GradientAscentTrainer",
    "HeadOnlyConfig",
    "HeadOnlyTrainer",
    "JiTConfig",
    "JiTTrainer",
    "L1SparseConfig",
    "L1SparseTrainer",
    "LoTUSConfig",
    "LoTUSForgetConfig",
    "LoTUSForgetTrainer",
    "LoTUSTrainer",
    "MUMisConfig",
    "MUMisTrainer",
    "MaskLogitConfig",
    "MaskLogitTrainer",
    "NegGradPlusConfig",
    "NegGradPlusTrainer",
    "PassesConfig",
    "PublishingError",
    "RandomLabelsConfig",
    "RandomLabelsTrainer",
    "ReGUnConfig",
    "ReGUnTrainer",
    "RetrainConfig",
    "RetrainTrainer",
    "SCARConfig",
    "SCARTrainer",
    "SSDConfig",
    "SSDTrainer",
    "SalUnConfig",
    "SalUnForgetConfig",
    "SalUnForgetTrainer",
    "SalUnTrainer",
    "ScrubConfig",
    "ScrubTrainer",
    "SpotterConfig",
    "SpotterTrainer",
    "UnlearningConfig",
    "UnlearningError",
    "UnlearningMethod",
    "UnlearningSplits",
    "UnlearningTrainer",
    "audit",
    "cite",
    "compare",
    "forget_splits",
    "load_image_classifier",
    "load_image_dataset",
    "load_image_processor",
    "make_splits",
    "predict_labels",
    "push_folder",
    "record_evaluation",
    "setting",
    "stream_splits",
    "unlearn_by_memorisation",
    "unlearn_head_only",
]
