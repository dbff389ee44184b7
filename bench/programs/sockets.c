// sockets PORT: sends what it reads from standard input to every connection, with one send() per socket and read.
// A connection gets the head of a response after its request; a slow one keeps the rest for later. Nothing is dropped.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 65536, READ_BYTES = 1 << 16, EVENTS = 1024 };
static const char HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

typedef struct {
  bool is_open;
  char *rest;  // what the socket did not take
  size_t length, room;
} connection;

static connection connections[MOST];
static int open_fds[MOST], open_count, place_of[MOST], epoll;

static void end(int fd) {
  connection *c = &connections[fd];
  if (c->is_open) {
    open_fds[place_of[fd]] = open_fds[--open_count];
    place_of[open_fds[place_of[fd]]] = place_of[fd];
  }
  free(c->rest);
  *c = (connection){0};
  close(fd);
}

static void send_to(int fd, const char *data, size_t length) {
  connection *c = &connections[fd];
  if (!c->length) {
    ssize_t sent = send(fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return;  // epoll reports its end
    if (sent > 0) data += sent, length -= sent;
    if (!length) return;
    struct epoll_event want = {.events = EPOLLIN | EPOLLOUT, .data.fd = fd};
    epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &want);
  }
  if (c->length + length > c->room) c->rest = realloc(c->rest, c->room = 2 * (c->length + length));
  memcpy(c->rest + c->length, data, length);
  c->length += length;
}

static void flush(int fd) {
  connection *c = &connections[fd];
  ssize_t sent = send(fd, c->rest, c->length, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent <= 0) return;
  memmove(c->rest, c->rest + sent, c->length -= sent);
  if (c->length) return;
  struct epoll_event want = {.events = EPOLLIN, .data.fd = fd};
  epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &want);
}

static void receive(int fd) {
  char request[4096];
  if (read(fd, request, sizeof request) <= 0) {
    end(fd);
  } else if (!connections[fd].is_open) {
    connections[fd].is_open = true;
    place_of[fd] = open_count;
    open_fds[open_count++] = fd;
    send_to(fd, HEAD, sizeof HEAD - 1);
  }
}

static void add(int fd, int events) {
  struct epoll_event want = {.events = events, .data.fd = fd};
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &want);
}

int main(int count, char **words) {
  if (count != 2) return 2;
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max < MOST ? limit.rlim_max : MOST;
  setrlimit(RLIMIT_NOFILE, &limit);
  int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1])),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) {
    perror("listen");
    return 1;
  }
  epoll = epoll_create1(0);
  add(listener, EPOLLIN);
  add(STDIN_FILENO, EPOLLIN);
  static struct epoll_event found[EVENTS];
  static char news[READ_BYTES];
  while (true) {
    int ready = epoll_wait(epoll, found, EVENTS, -1);
    for (int i = 0; i < ready; i++) {
      int fd = found[i].data.fd;
      if (fd == listener) {
        for (int client; (client = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
          setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
          add(client, EPOLLIN);
        }
      } else if (fd == STDIN_FILENO) {
        ssize_t size = read(fd, news, sizeof news);
        if (size <= 0) return 0;
        for (int k = 0; k < open_count; k++) send_to(open_fds[k], news, size);
      } else {
        if (found[i].events & EPOLLOUT) flush(fd);
        if (found[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(fd);
      }
    }
  }
}
