/* Asks the C library for both families, as most programs do; prints what it says as JSON. */
#define _GNU_SOURCE /* EAI_NODATA */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static double now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec + at.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  struct addrinfo hints, *found = 0, *each;
  char text[INET6_ADDRSTRLEN];
  const char *comma = "";
  memset(&hints, 0, sizeof hints);
  hints.ai_socktype = SOCK_STREAM;
  if (argc != 2) return 2;
  double began = now();
  int said = getaddrinfo(argv[1], 0, &hints, &found);
  double took = now() - began;
  printf("{\"said\": \"%s\", \"seconds\": %.3f, \"addresses\": [",
         !said                 ? "ok"
         : said == EAI_AGAIN   ? "again"
         : said == EAI_NONAME  ? "none"
#ifdef EAI_NODATA
         : said == EAI_NODATA  ? "none"
#endif
         : "other", took);
  for (each = found; each; each = each->ai_next) {
    const void *at = each->ai_family == AF_INET
                         ? (void *)&((struct sockaddr_in *)each->ai_addr)->sin_addr
                         : (void *)&((struct sockaddr_in6 *)each->ai_addr)->sin6_addr;
    printf("%s\"%s\"", comma, inet_ntop(each->ai_family, at, text, sizeof text));
    comma = ", ";
  }
  printf("]}\n");
  return 0;
}
