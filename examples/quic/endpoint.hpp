#pragma once
/// QUIC on a program's host: a server that accepts, and a client that dials.

#include "dial.hpp"
#include "server.hpp"
