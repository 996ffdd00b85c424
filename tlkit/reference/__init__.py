"""The arithmetic of convolutional networks by hand, in numpy: an independent check that is written to be read.

Every layer kind of the backbones is here, forward and backward, with the formulas beside the code. Nothing in tlkit imports
this package; the tests hold Keras, the fused and folded networks, OpenVINO and a step of training against it. It is slow.

Maps are (images, height, width, channels). Everything is computed in float64, or in the dtype of what is given. The gradient
of an array has its shape; `above` is the gradient of an operation's output, that is how the loss changes with it.
"""
