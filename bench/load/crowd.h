// All clients: their connections, phases and timers, in one epoll loop.
#ifndef CROWD_H
#define CROWD_H

#include <stdbool.h>
#include <stdint.h>

#include "stream.h"
#include "tally.h"

typedef struct {
  int fd, phase;
  int64_t due;           // before it connects: when to connect; afterwards when to cut the connection
  int64_t connected_at;  // epoch microseconds
  stream stream;
  counts counts;
} client;

typedef struct {
  int port, clients;
  int at_once;             // concurrent attempts to connect, at the start
  const char *path;
  char headers[8192];      // further headers of the request, each with its line end
  double connect_seconds;  // time limit of the start
  double grace;            // seconds after a window in which its messages may still arrive
  double cut_seconds;      // mean time after which a client cuts its connection; 0 for never
  bool resume;             // reconnect with Last-Event-ID, as an EventSource does
  bool stall;              // never read
  bool ready_when_open;    // ready with the head of the answer, not with the first message
} options;

typedef struct {
  int open, live, waiting, ended;
  int lowest_live;
  long failures, refusals, closed, cuts, reconnects;
  int64_t live_again_at;  // when all became live, in epoch microseconds
} crowd_state;

extern options option;
extern client *clients;
extern crowd_state crowd;

int64_t now_micros(void);
void crowd_open(void);
// Handle what happens within this time; start clients that are due, with at most so many concurrent attempts.
void crowd_pump(int timeout_ms, int at_once);
// Return the next line of standard input, or NULL.
char *crowd_input(void);
bool crowd_input_ended(void);

#endif
