/*
 * The program that `patchbay demo` traces: SQLite at work in two threads.
 *
 * Each thread has a database of its own in memory and does the same kind of round again and again:
 * it writes a day of orders in one transaction, asks five questions that need joins, indexes,
 * sorting and grouping, and deletes the oldest day, so that the database keeps its size and rounds
 * keep their price. What every query answers goes into the thread's checksum.
 *
 *     workload            runs until its standard input ends
 *     workload N N        runs N rounds in each of the two threads
 *
 * Output, one line each, at once:
 *     pid PID
 *     at NS ROUNDS        all the time: CLOCK_MONOTONIC, rounds done by both threads
 *     rounds N N          at the end, by each thread
 *     checksum HEX        of all that both threads were answered
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sqlite3.h"

#ifndef WORKLOAD_THREADS
#define WORKLOAD_THREADS 2
#endif

enum { thread_count = WORKLOAD_THREADS };
enum { customers = 500, products = 200, orders_per_day = 20, days_kept = 40 };

typedef struct {
  sqlite3 *db;
  sqlite3_stmt *statements[16];
  uint64_t random;
  uint64_t checksum;
  long rounds_wanted; /* -1: until told to stop */
  atomic_long rounds;
} worker;

static worker workers[thread_count];
static atomic_int stopping;

static void fail(sqlite3 *db, const char *doing) {
  fprintf(stderr, "workload: %s: %s\n", doing, db ? sqlite3_errmsg(db) : strerror(errno));
  exit(1);
}

/* Steele, Lea and Flood's splitmix64: the same numbers in every run. */
static uint32_t pick(worker *w, uint32_t below) {
  uint64_t z = w->random += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (uint32_t)((z ^ (z >> 31)) % below);
}

static void add_to_checksum(worker *w, const void *bytes, size_t length) {
  const unsigned char *at = bytes;
  for (size_t i = 0; i < length; i++) w->checksum = (w->checksum ^ at[i]) * 0x100000001b3u;
}

enum query {
  add_customer, add_product, add_order, add_item, forget_items, forget_orders, begin, commit,
  best_customers, sales_by_city, unsold_products, name_search, running_total
};

static const char *const schema =
  "CREATE TABLE customer(id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL);"
  "CREATE TABLE product(id INTEGER PRIMARY KEY, name TEXT NOT NULL, price INTEGER NOT NULL);"
  "CREATE TABLE purchase(id INTEGER PRIMARY KEY, customer INTEGER NOT NULL, day INTEGER NOT NULL);"
  "CREATE TABLE item(purchase INTEGER, product INTEGER, amount INTEGER,"
  " PRIMARY KEY(purchase, product)) WITHOUT ROWID;"
  "CREATE INDEX customer_by_city ON customer(city);"
  "CREATE INDEX purchase_by_day ON purchase(day);"
  "CREATE INDEX item_by_product ON item(product);";

static const char *const texts[] = {
  [add_customer] = "INSERT INTO customer VALUES(?1, ?2, ?3)",
  [add_product] = "INSERT INTO product VALUES(?1, ?2, ?3)",
  [add_order] = "INSERT INTO purchase(customer, day) VALUES(?1, ?2)",
  [add_item] = "INSERT OR IGNORE INTO item VALUES(?1, ?2, ?3)",
  [forget_items] =
    "DELETE FROM item WHERE purchase IN (SELECT id FROM purchase WHERE day <= ?1)",
  [forget_orders] = "DELETE FROM purchase WHERE day <= ?1",
  [begin] = "BEGIN",
  [commit] = "COMMIT",
  [best_customers] =
    "SELECT customer.name, sum(amount * price) AS total FROM purchase"
    " JOIN item ON item.purchase = purchase.id JOIN product ON product.id = item.product"
    " JOIN customer ON customer.id = purchase.customer WHERE day > ?1"
    " GROUP BY customer.id ORDER BY total DESC, customer.id LIMIT 10",
  [sales_by_city] =
    "SELECT city, count(DISTINCT purchase.id), sum(amount) FROM customer"
    " JOIN purchase ON purchase.customer = customer.id JOIN item ON item.purchase = purchase.id"
    " WHERE day = ?1 GROUP BY city ORDER BY city",
  [unsold_products] =
    "SELECT count(*), min(name) FROM product WHERE NOT EXISTS"
    " (SELECT 1 FROM item JOIN purchase ON purchase.id = item.purchase"
    "  WHERE item.product = product.id AND day > ?1)",
  [name_search] = "SELECT id, upper(name) FROM customer WHERE name LIKE '%' || ?1 || '%' "
                    "ORDER BY name",
  [running_total] =
    "SELECT day, sum(count(*)) OVER (ORDER BY day) FROM purchase WHERE day > ?1 GROUP BY day",
};

static const char *const syllables[] = {"ba", "ce", "di", "fo", "gu", "ka", "le", "mi", "no", "ru"};
static const char *const cities[] = {"Aachen", "Bergen", "Cadiz", "Dublin", "Evora", "Ghent",
                                     "Helsinki", "Izmir"};

static sqlite3_stmt *bind(worker *w, enum query query, int count, const int64_t *values) {
  sqlite3_stmt *statement = w->statements[query];
  for (int i = 0; i < count; i++) sqlite3_bind_int64(statement, i + 1, values[i]);
  return statement;
}

/* Runs a statement to its end; what it answers goes into the checksum. */
static void run(worker *w, sqlite3_stmt *statement) {
  int status;
  while ((status = sqlite3_step(statement)) == SQLITE_ROW) {
    for (int column = 0; column < sqlite3_column_count(statement); column++) {
      const void *text = sqlite3_column_text(statement, column);
      add_to_checksum(w, text, (size_t)sqlite3_column_bytes(statement, column));
    }
  }
  if (status != SQLITE_DONE) fail(w->db, sqlite3_sql(statement));
  sqlite3_reset(statement);
}

static void run_with(worker *w, enum query query, int64_t first, int64_t second, int64_t third) {
  const int64_t values[] = {first, second, third};
  sqlite3_stmt *statement = w->statements[query];
  run(w, bind(w, query, sqlite3_bind_parameter_count(statement), values));
}

static void name(worker *w, char *into, int count) {
  *into = 0;
  while (count-- > 0) strcat(into, syllables[pick(w, 10)]);
}

static void add_named(worker *w, enum query query, int id) {
  char text[32];
  sqlite3_stmt *statement = w->statements[query];
  name(w, text, 4);
  sqlite3_bind_int64(statement, 1, id);
  sqlite3_bind_text(statement, 2, text, -1, SQLITE_TRANSIENT);
  if (query == add_customer) sqlite3_bind_text(statement, 3, cities[pick(w, 8)], -1, SQLITE_STATIC);
  else sqlite3_bind_int64(statement, 3, 100 + pick(w, 9900));
  run(w, statement);
}

static void write_day(worker *w, long day) {
  run_with(w, begin, 0, 0, 0);
  for (int order = 0; order < orders_per_day; order++) {
    run_with(w, add_order, 1 + pick(w, customers), day, 0);
    int64_t id = sqlite3_last_insert_rowid(w->db);
    for (int item = 1 + (int)pick(w, 5); item > 0; item--) {
      run_with(w, add_item, id, 1 + pick(w, products), 1 + pick(w, 9));
    }
  }
  run_with(w, forget_items, day - days_kept, 0, 0);
  run_with(w, forget_orders, day - days_kept, 0, 0);
  run_with(w, commit, 0, 0, 0);
}

static void ask(worker *w, long day) {
  char part[8];
  run_with(w, best_customers, day - 7, 0, 0);
  run_with(w, sales_by_city, day, 0, 0);
  run_with(w, unsold_products, day - 14, 0, 0);
  run_with(w, running_total, day - 30, 0, 0);
  name(w, part, 2);
  sqlite3_bind_text(w->statements[name_search], 1, part, -1, SQLITE_TRANSIENT);
  run(w, w->statements[name_search]);
}

static void open_database(worker *w) {
  if (sqlite3_open(":memory:", &w->db) != SQLITE_OK) fail(w->db, "open a database");
  if (sqlite3_exec(w->db, schema, 0, 0, 0) != SQLITE_OK) fail(w->db, "make the tables");
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    int status = sqlite3_prepare_v3(w->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                    &w->statements[i], 0);
    if (status != SQLITE_OK) fail(w->db, texts[i]);
  }
  run_with(w, begin, 0, 0, 0);
  for (int id = 1; id <= customers; id++) add_named(w, add_customer, id);
  for (int id = 1; id <= products; id++) add_named(w, add_product, id);
  run_with(w, commit, 0, 0, 0);
  for (long day = 0; day < days_kept; day++) write_day(w, day);
}

static void close_database(worker *w) {
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) sqlite3_finalize(w->statements[i]);
  sqlite3_close(w->db);
}

static void *work(void *argument) {
  worker *w = argument;
  open_database(w);
  for (long round = 0; round != w->rounds_wanted; round++) {
    if (w->rounds_wanted < 0 && atomic_load(&stopping)) break;
    write_day(w, days_kept + round);
    ask(w, days_kept + round);
    atomic_store(&w->rounds, round + 1);
  }
  close_database(w);
  return 0;
}

static void print_progress(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  long rounds = 0;
  for (int i = 0; i < thread_count; i++) rounds += atomic_load(&workers[i].rounds);
  printf("at %lld%09ld %ld\n", (long long)now.tv_sec, now.tv_nsec, rounds);
}

static int is_done(void) {
  for (int i = 0; i < thread_count; i++) {
    if (atomic_load(&workers[i].rounds) != workers[i].rounds_wanted) return 0;
  }
  return 1;
}

/* Waits a moment: whether standard input has ended. */
static int input_ends(void) {
  char buffer[64];
  struct pollfd input = {.fd = 0, .events = POLLIN};
  return poll(&input, 1, 20) > 0 && read(0, buffer, sizeof buffer) <= 0;
}

int main(int argc, char **argv) {
  pthread_t threads[thread_count];
  setvbuf(stdout, 0, _IOLBF, 0);
  printf("pid %d\n", getpid());
  for (int i = 0; i < thread_count; i++) {
    workers[i].random = (uint64_t)i + 1;
    workers[i].checksum = 0xcbf29ce484222325u;
    workers[i].rounds_wanted = argc > i + 1 ? atol(argv[i + 1]) : -1;
    if (pthread_create(&threads[i], 0, work, &workers[i]) != 0) fail(0, "start a thread");
  }
  while (!is_done()) {
    print_progress();
    if (argc > 1) usleep(20 * 1000);
    else if (input_ends()) break;
  }
  atomic_store(&stopping, 1);
  for (int i = 0; i < thread_count; i++) pthread_join(threads[i], 0);
  print_progress();
  uint64_t checksum = 0;
  for (int i = 0; i < thread_count; i++) checksum = checksum * 31 + workers[i].checksum;
  printf("rounds %ld %ld\n", atomic_load(&workers[0].rounds), atomic_load(&workers[1].rounds));
  printf("checksum %016" PRIx64 "\n", checksum);
  return 0;
}
