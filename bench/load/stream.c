#define _GNU_SOURCE
#include "stream.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

enum { STAMP = 27, KEPT_ROOM = 4096, MOST_ROOM = 8 << 20, UNZIPPED = 1 << 17 };  // a stamp: @16 digits:8 digits@

void stream_restart(stream *s) {
  if (s->unzip) inflateEnd(s->unzip);
  free(s->unzip);
  free(s->rest);
  s->unzip = NULL;
  s->rest = NULL;
  s->rest_length = s->rest_room = s->left = 0;
  s->part = HEAD;
  s->status = 0;
  s->chunked = s->has_message = s->has_id = false;
}

static bool keep(stream *s, const char *data, long length) {
  if (s->rest_length + length > s->rest_room) {
    if (s->rest_length + length > MOST_ROOM) return false;
    s->rest_room = 2 * (s->rest_length + length);
    s->rest = realloc(s->rest, s->rest_room);
  }
  memcpy(s->rest + s->rest_length, data, length);
  s->rest_length += length;
  return true;
}

static void drop_rest(stream *s) {
  s->rest_length = 0;
  if (s->rest_room > KEPT_ROOM) {  // a view of 60 KB is read once; 10,000 clients must not keep room for it
    free(s->rest);
    s->rest = NULL;
    s->rest_room = 0;
  }
}

static bool is_stamp(const char *p, int64_t *sent, uint32_t *number) {
  if (p[17] != ':' || p[26] != '@') return false;
  int64_t micros = 0, count = 0;
  for (int i = 1; i < 17; i++) {
    if (!isdigit((unsigned char)p[i])) return false;
    micros = micros * 10 + p[i] - '0';
  }
  for (int i = 18; i < 26; i++) {
    if (!isdigit((unsigned char)p[i])) return false;
    count = count * 10 + p[i] - '0';
  }
  *sent = micros;
  *number = count;
  return true;
}

static bool begins(const char *line, long length, const char *with) {
  long size = strlen(with);
  return length >= size && !memcmp(line, with, size);
}

static void read_data(stream *s, const char *line, long length, const stream_events *events, void *client) {
  static const char *const TYPES[] = {"gap", "busy", "bye"};
  bool is_view = begins(line, length, "data: {\"type\":\"initial\"");
  if (is_view) events->named(client, "initial");
  if (begins(line, length, "data: {\"type\":\""))
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
      if (begins(line + 15, length - 15, TYPES[i])) events->named(client, TYPES[i]);
  const char *end = line + length, *at = line;
  int64_t sent;
  uint32_t number;
  while ((at = memchr(at, '@', end - at)) && end - at >= STAMP) {
    if (!is_stamp(at, &sent, &number)) {
      at++;
      continue;
    }
    at += STAMP;
    if (is_view) {
      events->state(client, number);
    } else {
      s->has_message = true;
      s->sent = sent;
      s->number = number;
    }
  }
}

static void read_line(stream *s, const char *line, long length, const stream_events *events, void *client) {
  if (length && line[length - 1] == '\r') length--;
  if (!length) {  // An event counts when it is complete: one that was cut off is sent again to a client that resumes.
    if (s->has_id) strcpy(s->last_id, s->id);
    if (s->has_message) events->message(client, s->sent, s->number);
    s->has_id = s->has_message = false;
  } else if (begins(line, length, "data:")) {
    read_data(s, line, length, events, client);
  } else if (begins(line, length, "id: ") && length - 4 < ID_ROOM) {
    memcpy(s->id, line + 4, length - 4);
    s->id[length - 4] = 0;
    s->has_id = true;
  } else if (begins(line, length, "retry:") && length < 32) {
    char text[32] = "";
    memcpy(text, line + 6, length - 6);
    s->retry_ms = atol(text);
  }
}

static bool read_lines(stream *s, const char *data, size_t length, const stream_events *events, void *client) {
  const char *end = data + length, *line_end;
  while ((line_end = memchr(data, '\n', end - data))) {
    if (s->rest_length) {
      if (!keep(s, data, line_end - data)) return false;
      read_line(s, s->rest, s->rest_length, events, client);
      drop_rest(s);
    } else {
      read_line(s, data, line_end - data, events, client);
    }
    data = line_end + 1;
  }
  return data == end || keep(s, data, end - data);
}

static bool read_body(stream *s, const char *data, size_t length, const stream_events *events, void *client) {
  if (!s->unzip) return read_lines(s, data, length, events, client);
  static char out[UNZIPPED];
  s->unzip->next_in = (Bytef *)data;
  s->unzip->avail_in = length;
  int result = Z_OK;
  do {
    s->unzip->next_out = (Bytef *)out;
    s->unzip->avail_out = sizeof out;
    result = inflate(s->unzip, Z_SYNC_FLUSH);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) return false;
    if (!read_lines(s, out, sizeof out - s->unzip->avail_out, events, client)) return false;
  } while (result == Z_OK && (s->unzip->avail_in || !s->unzip->avail_out));
  return true;
}

static bool has_header(const char *head, const char *name, const char *value) {
  for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
    line += 2;
    if (strncasecmp(line, name, strlen(name)) || line[strlen(name)] != ':') continue;
    const char *end = strstr(line, "\r\n"), *found = strcasestr(line, value);
    return found && found < end;
  }
  return false;
}

static bool read_head(stream *s) {
  s->status = s->rest_length > 12 ? atoi(s->rest + 9) : 0;
  s->chunked = has_header(s->rest, "Transfer-Encoding", "chunked");
  if (has_header(s->rest, "Content-Encoding", "gzip")) {
    s->unzip = calloc(1, sizeof *s->unzip);
    if (inflateInit2(s->unzip, 16 + MAX_WBITS) != Z_OK) return false;
  }
  s->part = s->chunked ? CHUNK_SIZE : PLAIN;
  drop_rest(s);
  return s->status == 200;
}

static int hex(char digit) { return isdigit((unsigned char)digit) ? digit - '0' : (digit | 32) - 'a' + 10; }

bool stream_read(stream *s, const char *data, size_t length, const stream_events *events, void *client) {
  const char *end = data + length;
  while (data < end) {
    switch (s->part) {
      case HEAD:
        for (; data < end && s->part == HEAD; data++) {
          if (!keep(s, data, 1)) return false;
          if (s->rest_length < 4 || memcmp(s->rest + s->rest_length - 4, "\r\n\r\n", 4)) continue;
          if (!keep(s, "", 1) || !read_head(s)) return false;
        }
        break;
      case PLAIN:
        return read_body(s, data, end - data, events, client);
      case CHUNK_SIZE:
        for (; data < end && *data != '\n'; data++)
          if (isxdigit((unsigned char)*data)) s->left = s->left * 16 + hex(*data);
        if (data < end) {
          data++;
          s->part = s->left ? CHUNK_DATA : FINISHED;
        }
        break;
      case CHUNK_DATA: {
        long here = end - data < s->left ? end - data : s->left;
        if (!read_body(s, data, here, events, client)) return false;
        data += here;
        s->left -= here;
        if (!s->left) s->part = CHUNK_END;
        break;
      }
      case CHUNK_END:
        for (; data < end && s->part == CHUNK_END; data++)
          if (*data == '\n') s->part = CHUNK_SIZE;
        break;
      case FINISHED:
        return false;
    }
  }
  return s->part != FINISHED;
}
