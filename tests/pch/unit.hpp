// What nearly every unit test begins with; compiled once, because there are many of them.

#include <doctest/doctest.h>

#include "../scripted.hpp"
