#pragma once
/// QMux over WebSocket, TLS and TCP, both sides.

#include "dial.hpp"
#include "serve.hpp"
