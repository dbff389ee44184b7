#include "tally.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKET_MICROS = 100, BUCKETS = 600000 };  // 60 s

tally total = {.begin = INT64_MAX, .end = INT64_MAX};

static uint32_t *histogram;
static long slots, segment_count;

void tally_open(long numbers, long segments) {
  slots = (numbers + 63) / 64 * 64;
  segment_count = segments;
  histogram = calloc(BUCKETS, sizeof *histogram);
}

void counts_open(counts *each) {
  each->seen = calloc(slots / 64, sizeof *each->seen);
  if (segment_count) each->latest = calloc(segment_count, sizeof *each->latest);
}

void tally_begin(counts *all, long count, long stride, int64_t begin, int64_t end) {
  memset(histogram, 0, BUCKETS * sizeof *histogram);
  for (long i = 0; i < count; i++) {
    counts *each = (counts *)((char *)all + i * stride);
    memset(each->seen, 0, slots / 8);
    each->got = 0;
  }
  total = (tally){.begin = begin, .end = end};
}

void tally_event(counts *each, int64_t sent, uint32_t number, int64_t now) {
  if (now >= total.begin && now < total.end) total.events++;
  if (sent < total.begin || sent >= total.end) return;
  long slot = number % slots;
  uint64_t bit = 1ULL << (slot & 63);
  if (each->seen[slot >> 6] & bit) {
    total.doubled++;
    return;
  }
  each->seen[slot >> 6] |= bit;
  each->got++;
  total.delivered++;
  int64_t latency = now > sent ? now - sent : 0;
  if (latency > total.longest) total.longest = latency;
  int64_t bucket = latency / BUCKET_MICROS;
  histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
}

void tally_state(counts *each, uint32_t number) {
  if (each->latest) each->latest[number % segment_count] = number + 1;
}

long tally_wrong(const counts *each, uint32_t last) {
  long wrong = 0;
  for (long segment = 0; each->latest && segment < segment_count && segment <= last; segment++) {
    uint32_t newest = last - (last - segment) % segment_count;
    wrong += each->latest[segment] != newest + 1;
  }
  return wrong;
}

double tally_percentile(double share) {
  if (!total.delivered) return -1;
  uint64_t below = 0;
  for (long i = 0; i < BUCKETS; i++) {
    below += histogram[i];
    if (below > total.delivered * share) return (i + 0.5) * BUCKET_MICROS / 1000;
  }
  return total.longest / 1000.0;
}
