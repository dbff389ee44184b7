// Counts what the streams receive. Losses and doubles are exact: every stream has a bitmap of the numbers it received.
#ifndef TALLY_H
#define TALLY_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
  uint64_t *seen;    // one bit per number of the window, modulo the size of the bitmap
  uint32_t *latest;  // per segment, 1 + the number received last; 0 for none
  long got;          // different numbers of the window
} counts;

typedef struct {
  int64_t begin, end;  // the window: messages sent in [begin, end), in epoch microseconds
  long delivered;      // different numbers per stream, summed over all streams
  long doubled;        // numbers that a stream received again
  long events, bytes;  // received between begin and end, whenever they were sent; bytes as they came from the socket
  long views;          // `initial` events
  long gaps;           // `gap` events
  long busy;           // `busy` events
  int64_t longest;     // latency in microseconds
} tally;

extern tally total;

// `numbers`: upper bound of the messages in a window. `segments`: message n is of segment n modulo this; 0 keeps no state.
void tally_open(long numbers, long segments);
void counts_open(counts *each);
void tally_begin(counts *all, long count, long stride, int64_t begin, int64_t end);
void tally_event(counts *each, int64_t sent, uint32_t number, int64_t now);
void tally_state(counts *each, uint32_t number);
// How many segments do not end with their newest message when `last` was published last.
long tally_wrong(const counts *each, uint32_t last);
// The latency in milliseconds below which this share of all lies; -1 for none.
double tally_percentile(double share);

#endif
