"""Write a Keras model as an ONNX graph, layer by layer.

Every kind of layer has a function that writes it; a layer without one is refused, so a graph is right or is not written.
Feature maps are (batch, channels, height, width), as ONNX's convolutions want them, and inputs and outputs as in Keras.
"""
