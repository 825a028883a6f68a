"""Names to choose from, for the command line and for checks. Nothing heavy is imported."""

# Training.
METHODS = ("protonet", "nca", "maml", "fomaml", "protomaml", "anil", "protoanil", "reptile", "supervised")
TRANSDUCTIVE = ("maml", "fomaml", "protomaml", "reptile")  # methods that can normalize queries by their own batch
ENCODERS = ("conv4", "resnet7", "resnet8")
PRECISIONS = ("float32", "bfloat16")
