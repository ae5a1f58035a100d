# One static library per folder of the ladder (docs/ARCHITECTURE.md). Sources are
# globbed, so that a new file needs no edit here; what a folder may see is the
# DEPENDS list, and tests/base/ladder_test.cpp holds the includes against the ladder.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
find_package(Threads REQUIRED)

add_library(ridgeline_flags INTERFACE)
target_compile_options(ridgeline_flags INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Werror
  # Contract 1: a product and a sum are fused only where the code says so.
  -ffp-contract=off)
if(RIDGELINE_SANITIZE)
  target_compile_options(ridgeline_flags INTERFACE
    -fsanitize=${RIDGELINE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all
    # With instrumentation GCC 12 finds such variables in its own <regex> and <functional>.
    -Wno-maybe-uninitialized)
  target_link_options(ridgeline_flags INTERFACE -fsanitize=${RIDGELINE_SANITIZE})
endif()

# ridgeline_layer(NAME DEPENDS layer... LIBRARIES external...)
function(ridgeline_layer name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LIBRARIES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  list(TRANSFORM ARG_DEPENDS PREPEND ridgeline_)
  # For RidgelinePackage, which makes one library of all layers.
  set_property(GLOBAL APPEND PROPERTY RIDGELINE_LAYERS ${name})
  set_property(GLOBAL APPEND PROPERTY RIDGELINE_LIBRARIES ${ARG_LIBRARIES})
  if(sources)
    add_library(ridgeline_${name} STATIC ${sources})
    target_include_directories(ridgeline_${name} PUBLIC ${PROJECT_SOURCE_DIR})
    target_link_libraries(ridgeline_${name} PUBLIC ${ARG_DEPENDS} ${ARG_LIBRARIES}
      PRIVATE $<BUILD_INTERFACE:ridgeline_flags>)
  else()
    add_library(ridgeline_${name} INTERFACE)
    target_include_directories(ridgeline_${name} INTERFACE ${PROJECT_SOURCE_DIR})
    target_link_libraries(ridgeline_${name} INTERFACE ${ARG_DEPENDS} ${ARG_LIBRARIES})
  endif()
endfunction()
