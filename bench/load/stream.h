// One SSE stream: HTTP head, chunks, gzip, lines. Bytes in, calls of stream_events out; no sockets.
#ifndef STREAM_H
#define STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ID_ROOM = 512 };

struct z_stream_s;

typedef enum { HEAD, PLAIN, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, FINISHED } part;

typedef struct {
  part part;
  int status;                 // of HTTP; 0 before the head is complete
  bool chunked;               // otherwise the body ends with the connection
  long left;                  // bytes of the chunk that are still to come
  struct z_stream_s *unzip;   // for Content-Encoding: gzip
  char *rest;                 // the beginning of the head or of a line
  long rest_length, rest_room;
  bool has_message, has_id;   // of the event that is being read
  int64_t sent;
  uint32_t number;
  char id[ID_ROOM], last_id[ID_ROOM];  // of this event, and of the last complete one
  long retry_ms;              // as the server asked; -1 if it did not
} stream;

typedef struct {
  void (*message)(void *client, int64_t sent, uint32_t number);  // a complete event with one stamp
  void (*state)(void *client, uint32_t number);                  // a stamp inside a view
  void (*named)(void *client, const char *type);                 // a complete event of another type that matters
} stream_events;

// Prepare for a new connection; the last id and the retry time are kept.
void stream_restart(stream *s);
// Read bytes from the socket. Returns false if the stream is invalid or has ended.
bool stream_read(stream *s, const char *data, size_t length, const stream_events *events, void *client);

#endif
