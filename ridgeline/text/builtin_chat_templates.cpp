#include <algorithm>

#include "ridgeline/text/chat_template.h"

namespace ridgeline {
namespace {

struct Builtin {
  std::string_view name;
  const char* source;
};

// Formats as their models' authors describe them. A system message where the format knows
// none goes before the first user's.

constexpr const char* kChatMl = R"jinja(
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{% endif %}
)jinja";

constexpr const char* kLlama2 = R"jinja(
{%- set ns = namespace(system='') %}
{%- for message in messages %}
{%- if message.role == 'system' %}
  {%- set ns.system = '<<SYS>>\n' + message.content + '\n<</SYS>>\n\n' %}
{%- elif message.role == 'user' %}
  {{- bos_token ~ '[INST] ' + ns.system + message.content.strip() + ' [/INST]' }}
  {%- set ns.system = '' %}
{%- else %}
  {{- ' ' + message.content.strip() + ' ' ~ eos_token }}
{%- endif %}
{%- endfor %}
)jinja";

constexpr const char* kLlama3 = R"jinja(
{{- bos_token }}
{%- for message in messages %}
{{- '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' }}
{{- message.content.strip() + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}
)jinja";

constexpr const char* kGemma = R"jinja(
{{- bos_token }}
{%- set ns = namespace(system='') %}
{%- for message in messages %}
{%- if message.role == 'system' %}
  {%- set ns.system = message.content.strip() + '\n\n' %}
{%- else %}
  {{- '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\n' }}
  {{- ns.system + message.content.strip() + '<end_of_turn>\n' }}
  {%- set ns.system = '' %}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<start_of_turn>model\n' }}{% endif %}
)jinja";

constexpr const char* kMistral = R"jinja(
{{- bos_token }}
{%- set ns = namespace(system='') %}
{%- for message in messages %}
{%- if message.role == 'system' %}
  {%- set ns.system = message.content + '\n\n' %}
{%- elif message.role == 'user' %}
  {{- '[INST] ' + ns.system + message.content + ' [/INST]' }}
  {%- set ns.system = '' %}
{%- else %}
  {{- ' ' + message.content ~ eos_token }}
{%- endif %}
{%- endfor %}
)jinja";

constexpr const char* kPhi3 = R"jinja(
{%- for message in messages %}
{{- '<|' + message.role + '|>\n' + message.content + '<|end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>\n' }}{% endif %}
)jinja";

constexpr const char* kZephyr = R"jinja(
{%- for message in messages %}
{{- '<|' + message.role + '|>\n' + message.content ~ eos_token ~ '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>\n' }}{% endif %}
)jinja";

constexpr const char* kVicuna = R"jinja(
{{- bos_token }}
{%- for message in messages %}
{%- if message.role == 'system' %}
  {{- message.content + '\n\n' }}
{%- elif message.role == 'user' %}
  {{- 'USER: ' + message.content + '\n' }}
{%- else %}
  {{- 'ASSISTANT: ' + message.content ~ eos_token ~ '\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- 'ASSISTANT:' }}{% endif %}
)jinja";

constexpr const char* kAlpaca = R"jinja(
{{- bos_token }}
{%- for message in messages %}
{%- if message.role == 'system' %}
  {{- message.content + '\n\n' }}
{%- elif message.role == 'user' %}
  {{- '### Instruction:\n' + message.content + '\n\n' }}
{%- else %}
  {{- '### Response:\n' + message.content ~ eos_token ~ '\n\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '### Response:\n' }}{% endif %}
)jinja";

constexpr Builtin kBuiltins[] = {
    {"alpaca", kAlpaca}, {"chatml", kChatMl}, {"gemma", kGemma},
    {"llama2", kLlama2}, {"llama3", kLlama3}, {"mistral", kMistral},
    {"phi3", kPhi3},     {"vicuna", kVicuna}, {"zephyr", kZephyr},
};

}  // namespace

const char* builtin_chat_template(std::string_view name) {
  const auto* found = std::ranges::find(kBuiltins, name, &Builtin::name);
  return found == std::end(kBuiltins) ? nullptr : found->source;
}

std::vector<std::string_view> builtin_chat_template_names() {
  std::vector<std::string_view> names;
  for (const Builtin& builtin : kBuiltins) names.push_back(builtin.name);
  return names;
}

}  // namespace ridgeline
