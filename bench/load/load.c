// load: many SSE streams in one process and one thread. Every event is timed; losses and doubles are counted exactly.
//
//   load --port N --path PATH --clients N [option ...]
//
// A message holds the stamp "@<16 digits: epoch microseconds of sending>:<8 digits: running number>@" in a data line.
// The program connects, prints one line of JSON, and then answers commands from standard input with a line each:
//
//   window BEGIN END   from now on count the messages sent in [BEGIN, END) (epoch microseconds)
//   result [COUNT]     what came of them; answers --grace seconds after END, or with COUNT messages if that is earlier
//   calm               no more cuts of --cut
//   state LAST         how many segments do not show their newest message, when message LAST was the last one
//
// It ends with its input. A stream is live when it has received a message that was sent after it connected.
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "crowd.h"

static double cpu_seconds(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void connect_all(void) {
  int64_t begin = now_micros(), deadline = begin + option.connect_seconds * 1e6, opened_at = 0;
  bool is_done = false;
  while (!is_done && now_micros() < deadline && !crowd_input_ended()) {
    crowd_pump(10, option.at_once);
    if (!opened_at && crowd.open == option.clients) opened_at = now_micros();
    is_done = (option.ready_when_open || option.stall ? crowd.open : crowd.live) + crowd.ended == option.clients;
  }
  printf("{\"open\":%d,\"live\":%d,\"failures\":%ld,\"refusals\":%ld,\"open_seconds\":%.3f}\n", crowd.open, crowd.live,
         crowd.failures, crowd.refusals, opened_at ? (opened_at - begin) / 1e6 : -1.0);
  fflush(stdout);
}

static double cpu_before;

static void open_window(int64_t begin, int64_t end) {
  crowd = (crowd_state){crowd.open, crowd.live, crowd.waiting, crowd.ended, .lowest_live = crowd.live};
  tally_begin(&clients->counts, option.clients, sizeof *clients, begin, end);
  cpu_before = cpu_seconds();
  puts("{}");
  fflush(stdout);
}

static void show_result(long count) {
  double cpu = -1;
  int64_t stop = total.end + option.grace * 1e6;
  while (now_micros() < stop && total.delivered + total.doubled < count && !crowd_input_ended()) {
    crowd_pump(5, option.clients);
    if (cpu < 0 && now_micros() >= total.end) cpu = cpu_seconds() - cpu_before;
  }
  long least = LONG_MAX;
  for (int i = 0; i < option.clients; i++) least = clients[i].counts.got < least ? clients[i].counts.got : least;
  printf("{\"delivered\":%ld,\"doubled\":%ld,\"p50\":%.2f,\"p99\":%.2f,\"longest\":%.2f,\"least\":%ld,"
         "\"events\":%ld,\"bytes\":%ld,\"views\":%ld,\"gaps\":%ld,\"busy\":%ld,\"open\":%d,\"live\":%d,\"lowest_live\":%d,"
         "\"live_again_at\":%lld,\"failures\":%ld,\"refusals\":%ld,\"closed\":%ld,\"cuts\":%ld,\"reconnects\":%ld,"
         "\"cpu_seconds\":%.3f}\n",
         total.delivered, total.doubled, tally_percentile(0.5), tally_percentile(0.99), total.longest / 1000.0, least,
         total.events, total.bytes, total.views, total.gaps, total.busy, crowd.open,
         crowd.live, crowd.lowest_live, (long long)crowd.live_again_at, crowd.failures, crowd.refusals, crowd.closed,
         crowd.cuts, crowd.reconnects, cpu);
  fflush(stdout);
}

static void show_state(unsigned last) {
  long wrong = 0, wrong_clients = 0;
  for (int i = 0; i < option.clients; i++) {
    long here = tally_wrong(&clients[i].counts, last);
    wrong += here;
    wrong_clients += here > 0;
  }
  printf("{\"wrong\":%ld,\"wrong_clients\":%ld}\n", wrong, wrong_clients);
  fflush(stdout);
}

static void obey(char *line) {
  long long begin, end;
  long count;
  unsigned last;
  if (sscanf(line, "window %lld %lld", &begin, &end) == 2) {
    open_window(begin, end);
  } else if (!strcmp(line, "result")) {
    show_result(LONG_MAX);
  } else if (sscanf(line, "result %ld", &count) == 1) {
    show_result(count);
  } else if (sscanf(line, "state %u", &last) == 1) {
    show_state(last);
  } else if (!strcmp(line, "calm")) {
    option.cut_seconds = 0;
    puts("{}");
    fflush(stdout);
  } else {
    fprintf(stderr, "unknown command: %s\n", line);
    exit(2);
  }
}

static void serve(void) {
  while (!crowd_input_ended()) {
    char *line = crowd_input();
    if (line) obey(line);
    else crowd_pump(10, option.clients);
  }
}

static void read_options(int count, char **words, long *numbers, long *segments) {
  static const struct option known[] = {
      {"port", 1, 0, 'p'},    {"path", 1, 0, 'P'},    {"clients", 1, 0, 'n'}, {"connect-seconds", 1, 0, 'c'},
      {"at-once", 1, 0, 'a'}, {"numbers", 1, 0, 'N'}, {"segments", 1, 0, 's'}, {"header", 1, 0, 'H'},
      {"resume", 0, 0, 'r'},  {"cut", 1, 0, 'C'},     {"stall", 0, 0, 'S'},    {"ready-when-open", 0, 0, 'o'},
      {"grace", 1, 0, 'g'},   {0}};
  for (int letter; (letter = getopt_long(count, words, "", known, NULL)) >= 0;) {
    switch (letter) {
      case 'p': option.port = atoi(optarg); break;
      case 'P': option.path = optarg; break;
      case 'n': option.clients = atoi(optarg); break;
      case 'c': option.connect_seconds = atof(optarg); break;
      case 'a': option.at_once = atoi(optarg); break;
      case 'N': *numbers = atol(optarg); break;
      case 's': *segments = atol(optarg); break;
      case 'g': option.grace = atof(optarg); break;
      case 'C': option.cut_seconds = atof(optarg); break;
      case 'r': option.resume = true; break;
      case 'S': option.stall = true; break;
      case 'o': option.ready_when_open = true; break;
      case 'H':
        if (strlen(option.headers) + strlen(optarg) + 3 > sizeof option.headers) exit(2);
        strcat(strcat(option.headers, optarg), "\r\n");
        break;
      default: exit(2);
    }
  }
  if (!option.port || !option.path || option.clients < 1) {
    fputs("load --port N --path PATH --clients N [option ...]\n", stderr);
    exit(2);
  }
}

int main(int count, char **words) {
  long numbers = 1 << 16, segments = 0;
  read_options(count, words, &numbers, &segments);
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < (rlim_t)option.clients + 16) {
    fprintf(stderr, "%d clients need more open files than the hard limit of %lu\n", option.clients,
            (unsigned long)limit.rlim_max);
    return 1;
  }
  tally_open(numbers, segments);
  crowd_open();
  connect_all();
  serve();
  return 0;
}
