"""Names to choose from, for options and arguments that take one of a few.

The modules that act on a choice and the command line both read it here, so that help loads neither TensorFlow nor an
interpreter. Help and errors list the names in this order.
"""

BACKENDS = ("litert", "tflite", "tensorflow")  # in the order in which they are tried
FALLBACKS = ("cpu",)
ACCELERATORS = ("cpu", "gpu", "npu", "auto")
HEADS = ("prototype", "linear")
SOLVERS = ("lda", "gradient", "ridge")

SPLITS = ("train", "val", "test")  # share no class
SPLITS_AND_ALL = (*SPLITS, "all")
TRAINING_SPLITS = ("train", "all")  # all validates on held-back examples in place of classes

QUANTIZATIONS = ("float32", "float16", "dynamic", "int8", "int16x8")
STORE_FORMATS = ("npz", "board")
TARGETS = ("litert", "tflm", "web", "edgetpu", "ethos-u", "npu", "imprint")
ETHOS_U = (
    "ethos-u55-256", "ethos-u55-128", "ethos-u55-64", "ethos-u55-32", "ethos-u65-256", "ethos-u65-512",
    "ethos-u85-128", "ethos-u85-256", "ethos-u85-512", "ethos-u85-1024", "ethos-u85-2048",
)  # Vela's names, the default first  # fmt: skip
INPUT_KINDS = ("image", "audio", "array")
CHANNEL_ORDERS = ("rgb", "bgr")

METHODS = ("protonet", "nca", "maml", "fomaml", "protomaml", "anil", "protoanil", "reptile", "supervised", "distill")
TRANSDUCTIVE = ("maml", "fomaml", "protomaml", "reptile")  # methods that can normalize queries by their own batch
OF_IMAGES = ("conv4", "resnet7", "resnet8", "photo12", "efficientnet_lite0", "mobilenet_v2", "mobilenet_v3_small")
ENCODERS = (*OF_IMAGES, "dscnn", "tcn")  # the last two of recordings and of series
WITH_DIM = ENCODERS[3:]  # can end in a linear layer of any number of values
MOTION = ("ax", "ay", "az", "gx", "gy", "gz")  # channels of motion sensors, in m/s² and rad/s
PRECISIONS = ("float32", "bfloat16")
