# Installs to a fresh prefix, builds examples/generate against it as a stranger would,
# and runs the result. cmake -D build=... -D source=... -D generator=... -D compiler=...
set(scratch ${build}/package_test)
file(REMOVE_RECURSE ${scratch})

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output
    ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}\nended with ${result}:\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

run(${CMAKE_COMMAND} --install ${build} --prefix ${scratch}/prefix)
run(${CMAKE_COMMAND} -S ${source}/examples/generate -B ${scratch}/example -G ${generator}
  -D CMAKE_CXX_COMPILER=${compiler} -D CMAKE_PREFIX_PATH=${scratch}/prefix)
run(${CMAKE_COMMAND} --build ${scratch}/example)

# Nothing of the source tree may be needed.
file(GLOB_RECURSE package_files ${scratch}/prefix/lib/*.cmake)
foreach(file IN LISTS package_files)
  file(READ ${file} text)
  string(FIND "${text}" "${source}" position)
  if(NOT position EQUAL -1)
    message(FATAL_ERROR "${file} names the source tree ${source}")
  endif()
endforeach()

set(generate ${scratch}/example/generate)
file(GLOB models ${scratch}/prefix/share/ridgeline/*.gguf)
list(GET models 0 model)
set(prompt "Once upon a time")
run(${generate} ${model} ${prompt})
string(LENGTH "${output}" length)
if(NOT output MATCHES "^${prompt}" OR length LESS 50)
  message(FATAL_ERROR "generate: expected the prompt and what follows it, got:\n${output}")
endif()

execute_process(COMMAND ${generate} /absent.gguf ${prompt}
  RESULT_VARIABLE result ERROR_VARIABLE output)
if(NOT result EQUAL 1 OR NOT output MATCHES "/absent.gguf")
  message(FATAL_ERROR "generate: exit status ${result}, expected 1 and the file's name:\n${output}")
endif()

# The installed program finds the installed model.
run(${scratch}/prefix/bin/ridgeline run -p ${prompt} -n 8)
