// Ask an OpenVINO model: `predict openvino-float32 PHOTO...`; model.json is in the folder above. Prints a line of JSON for
// each photo. `image.h` reads pictures as the model was trained, and can be used alone.

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include <openvino/openvino.hpp>

#include "image.h"

namespace {

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The text of each string, as it is escaped in JSON, of the first `"name": ` in a document: one, or a list.
std::vector<std::string> find_strings(const std::string& json, const std::string& name) {
  size_t at = json.find("\"" + name + "\":");
  if (at == std::string::npos) throw std::runtime_error("model.json has no " + name);
  at = json.find_first_not_of(" \n", at + name.size() + 3);
  const bool is_list = json[at] == '[';
  std::vector<std::string> found;
  for (at += is_list; at < json.size() && json[at] != ']'; ++at) {
    if (json[at] != '"') continue;
    const size_t start = ++at;
    while (at < json.size() && json[at] != '"') at += json[at] == '\\' ? 2 : 1;
    found.push_back(json.substr(start, at - start));
    if (!is_list) break;
  }
  return found;
}

std::string escape(const std::string& text) {
  std::string escaped;
  for (const char character : text) {
    if (character == '"' || character == '\\') escaped += '\\';
    escaped += character;
  }
  return escaped;
}

void print(const std::string& path, ov::InferRequest& request, const std::vector<std::string>& names) {
  std::cout << "{\"image\": \"" << escape(path) << "\"";
  for (const auto& port : request.get_compiled_model().outputs()) {
    const std::string name = port.get_any_name();
    if (name == "map") continue;
    const ov::Tensor answer = request.get_tensor(port);
    const float* values = answer.data<float>();
    std::cout << ", \"" << name << "\": [";
    for (size_t index = 0; index < answer.get_size(); ++index) {
      char text[32];
      std::snprintf(text, sizeof text, "%s%.9g", index ? ", " : "", values[index]);
      std::cout << text;
    }
    std::cout << "]";
    if (name == "probabilities" && answer.get_size() == names.size()) {
      const auto best = std::max_element(values, values + answer.get_size()) - values;
      std::cout << ", \"class\": \"" << names[best] << "\"";
    }
  }
  std::cout << "}" << std::endl;
}

}  // namespace

int main(int count, char** arguments) try {
  if (count < 3) throw std::runtime_error("usage: predict openvino-float32 PHOTO...");
  const std::string folder = arguments[1];
  const std::string document = read_text(folder + "/../model.json");
  const std::string fit = find_strings(document, "fit").at(0);
  const std::vector<std::string> names = find_strings(document, "class_names");
  ov::Core core;
  // Processors with bfloat16 would otherwise compute in it, and the second decimal of a probability would change.
  auto model = core.compile_model(folder + "/model.xml", "CPU",
                                  ov::hint::inference_precision(ov::element::f32));
  if (model.inputs().size() != 1) throw std::runtime_error("the model also takes metadata; see metadata in model.json");
  const ov::PartialShape shape = model.input().get_partial_shape();
  const int rows = static_cast<int>(shape[1].get_length()), columns = static_cast<int>(shape[2].get_length());
  auto request = model.create_infer_request();
  bool has_failed = false;
  for (int index = 2; index < count; ++index) {
    try {
      Image input = resize(read_image(arguments[index], rows, columns), rows, columns, fit);
      const ov::Shape size = {1, static_cast<size_t>(rows), static_cast<size_t>(columns), 3};
      request.set_input_tensor(ov::Tensor(ov::element::u8, size, input.pixels.data()));
      request.infer();
      print(arguments[index], request, names);
    } catch (const std::exception& error) {
      std::cerr << arguments[index] << ": " << error.what() << std::endl;
      has_failed = true;
    }
  }
  return has_failed;
} catch (const std::exception& error) {
  std::cerr << error.what() << std::endl;
  return 2;
}
