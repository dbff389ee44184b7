#define _GNU_SOURCE
#include "crowd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { IDLE, CONNECTING, ASKED, OPEN, LIVE, FAILED };  // IDLE: connects when it is due
enum { READ_BYTES = 1 << 18, EVENTS = 1024, PER_ADDRESS = 4000, STALLED_BUFFER = 4096, TIMER_MICROS = 10000 };
static const uint32_t STDIN = UINT32_MAX;

options option = {.at_once = 256, .connect_seconds = 30, .grace = 2};
client *clients;
crowd_state crowd;

static int epoll;

int64_t now_micros(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

// ---- phases of a client

static void set_phase(client *c, int phase) {
  bool was_open = c->phase == OPEN || c->phase == LIVE, was_waiting = c->phase == CONNECTING || c->phase == ASKED;
  crowd.open += (phase == OPEN || phase == LIVE) - was_open;
  crowd.waiting += (phase == CONNECTING || phase == ASKED) - was_waiting;
  crowd.live += (phase == LIVE) - (c->phase == LIVE);
  crowd.ended += (phase == FAILED) - (c->phase == FAILED);
  c->phase = phase;
  if (crowd.live < crowd.lowest_live) crowd.lowest_live = crowd.live;
}

static void disconnect(client *c, bool is_final) {
  if (c->fd >= 0) close(c->fd);
  c->fd = -1;
  if (!is_final) {
    long retry_ms = c->stream.retry_ms >= 0 ? c->stream.retry_ms : 1000;
    c->due = now_micros() + retry_ms * 1000;
  }
  set_phase(c, is_final ? FAILED : IDLE);
  stream_restart(&c->stream);
}

static void lost(client *c) {
  if (c->phase == CONNECTING || c->phase == ASKED) crowd.failures++;
  else crowd.closed++;
  disconnect(c, !option.resume && option.cut_seconds <= 0);
}

static void start(client *c) {
  char address[32];
  int one = 1, small = STALLED_BUFFER;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(option.port)}, from = {.sin_family = AF_INET};
  inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
  // One source address has 28,000 ports, and a closed connection occupies its port for a minute.
  snprintf(address, sizeof address, "127.0.1.%d", 1 + (int)((c - clients) / PER_ADDRESS) % 250);
  inet_pton(AF_INET, address, &from.sin_addr);
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (c->fd < 0) {
    perror("socket");
    exit(1);
  }
  setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (option.stall) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  bind(c->fd, (struct sockaddr *)&from, sizeof from);
  set_phase(c, CONNECTING);
  if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
    lost(c);
    return;
  }
  struct epoll_event want = {.events = EPOLLOUT, .data.u32 = c - clients};
  epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &want);
}

static void ask(client *c) {
  char request[sizeof option.headers + 4096], id[ID_ROOM + 32] = "";
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (option.resume && *c->stream.last_id) snprintf(id, sizeof id, "Last-Event-ID: %s\r\n", c->stream.last_id);
  int length = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: text/event-stream\r\n%s%s\r\n", option.path,
                        option.port, option.headers, id);
  if (error || write(c->fd, request, length) != length) {
    lost(c);
    return;
  }
  set_phase(c, ASKED);
  c->connected_at = now_micros();
  if (option.cut_seconds > 0) c->due = c->connected_at + 2e6 * option.cut_seconds * drand48();
  // A stalled client never reads; epoll reports only that its connection has ended.
  struct epoll_event want = {.events = option.stall ? EPOLLRDHUP : EPOLLIN, .data.u32 = c - clients};
  epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &want);
  if (option.stall) set_phase(c, OPEN);
}

// ---- what a stream delivers

static int64_t read_at;

static void on_message(void *argument, int64_t sent, uint32_t number) {
  client *c = argument;
  if (c->phase != LIVE && sent >= c->connected_at) {
    set_phase(c, LIVE);
    if (crowd.live == option.clients) crowd.live_again_at = read_at;
  }
  tally_event(&c->counts, sent, number, read_at);
  tally_state(&c->counts, number);
}

static void on_state(void *argument, uint32_t number) { tally_state(&((client *)argument)->counts, number); }

static void on_named(void *argument, const char *type) {
  (void)argument;
  total.views += !strcmp(type, "initial");
  total.gaps += !strcmp(type, "gap");
  total.busy += !strcmp(type, "busy");
}

static const stream_events EVENTS_OF_STREAM = {on_message, on_state, on_named};

static void receive(client *c) {
  static char buffer[READ_BYTES];
  ssize_t size = read(c->fd, buffer, sizeof buffer);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) {
    lost(c);
    return;
  }
  read_at = now_micros();
  if (read_at >= total.begin && read_at < total.end) total.bytes += size;
  bool is_good = stream_read(&c->stream, buffer, size, &EVENTS_OF_STREAM, c);
  if (c->phase == ASKED && c->stream.status == 200) set_phase(c, OPEN);
  if (!is_good && c->stream.status != 200) {
    if (!crowd.refusals++) fprintf(stderr, "refused: %.*s\n", (int)(size < 300 ? size : 300), buffer);
    disconnect(c, true);
  } else if (!is_good) {
    lost(c);
  }
}

// ---- the loop

static char input[512], line[512];
static int input_length;
static bool input_ended;

static void read_input(void) {
  ssize_t size = read(0, input + input_length, sizeof input - 1 - input_length);
  if (size > 0) input_length += size;
  else if (size == 0) input_ended = true;
}

static void connect_and_cut(int at_once) {
  int64_t now = now_micros();
  for (client *c = clients; c < clients + option.clients; c++) {
    if (c->phase == FAILED || c->due > now) continue;
    if (c->phase == IDLE && crowd.waiting < at_once) {
      crowd.reconnects += c->connected_at != 0;
      start(c);
    } else if (option.cut_seconds > 0 && (c->phase == OPEN || c->phase == LIVE)) {
      crowd.cuts++;
      disconnect(c, false);
    }
  }
}

void crowd_pump(int timeout_ms, int at_once) {
  static struct epoll_event found[EVENTS];
  static int64_t next_timers;
  int count = epoll_wait(epoll, found, EVENTS, timeout_ms);
  for (int i = 0; i < count; i++) {
    if (found[i].data.u32 == STDIN) {
      read_input();
      continue;
    }
    client *c = &clients[found[i].data.u32];
    if (c->fd < 0) continue;
    if (c->phase == CONNECTING) ask(c);
    else if (option.stall) lost(c);
    else receive(c);
  }
  if (now_micros() >= next_timers) {
    connect_and_cut(at_once);
    next_timers = now_micros() + TIMER_MICROS;
  }
}

void crowd_open(void) {
  epoll = epoll_create1(0);
  struct epoll_event want = {.events = EPOLLIN, .data.u32 = STDIN};
  fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
  epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &want);
  clients = calloc(option.clients, sizeof *clients);
  for (client *c = clients; c < clients + option.clients; c++) {
    c->fd = -1;
    c->stream.retry_ms = -1;
    counts_open(&c->counts);
  }
}

char *crowd_input(void) {
  char *end = memchr(input, '\n', input_length);
  if (!end) return NULL;
  int size = end - input;
  memcpy(line, input, size);
  line[size] = 0;
  input_length -= size + 1;
  memmove(input, end + 1, input_length);
  return line;
}

bool crowd_input_ended(void) { return input_ended && !memchr(input, '\n', input_length); }
