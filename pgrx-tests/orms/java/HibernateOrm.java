import java.util.Date;
import javax.persistence.Column;
import javax.persistence.Entity;
import javax.persistence.Id;
import javax.persistence.Table;
import javax.persistence.Temporal;
import javax.persistence.TemporalType;
import javax.persistence.Version;
import org.hibernate.LockMode;
import org.hibernate.Session;
import org.hibernate.SessionFactory;
import org.hibernate.StaleObjectStateException;
import org.hibernate.Transaction;
import org.hibernate.cfg.Configuration;
import org.hibernate.exception.GenericJDBCException;

/** An order; that is a word of HQL's own. */
@Entity
@Table(name = "orders")
class Purchase {
    @Id int id;
    String address;
    @Version int version;
}

@Entity
@Table(name = "authors")
class Author {
    @Id int id;
    String email;
    String name;
    @Column(name = "books_count") int booksCount;
    @Version int version;
}

/** The author without the columns that others count. */
@Entity
@Table(name = "authors")
class NamedAuthor {
    @Id int id;
    @Column(updatable = false) String email;
    String name;
    @Column(name = "books_count", updatable = false) int booksCount;
    @Version int version;
}

/** The author of whom a flush sends what has changed. */
@Entity
@org.hibernate.annotations.Entity(dynamicUpdate = true)
@Table(name = "authors")
class ChangedAuthor {
    @Id int id;
    String email;
    String name;
    @Column(name = "books_count") int booksCount;
    @Version int version;
}

@Entity
@Table(name = "posts")
class Post {
    @Id int id;
    int author;
}

@Entity
@Table(name = "reports")
class Report {
    @Id int id;
    int author;
    @Temporal(TemporalType.TIMESTAMP) Date at;
}

/** Hibernate's @Version: a flush counts, and checks in the WHERE clause; bulk HQL states nothing, or counts without a check. */
class HibernateOrm extends Harness {
    interface Work<T> {
        T in(Session session) throws Exception;
    }

    private static final SessionFactory SESSIONS = sessions();

    private static SessionFactory sessions() {
        Configuration configuration = new Configuration()
                .setProperty("hibernate.connection.driver_class", "org.postgresql.Driver")
                .setProperty("hibernate.connection.url", URL)
                .setProperty("hibernate.dialect", "org.hibernate.dialect.PostgreSQLDialect");
        Class<?>[] entities = {Purchase.class, Author.class, NamedAuthor.class, ChangedAuthor.class, Post.class, Report.class};
        for (Class<?> entity : entities) {
            configuration.addAnnotatedClass(entity);
        }
        return configuration.buildSessionFactory();
    }

    /** In a session and a transaction of its own. */
    private static <T> T transaction(Work<T> work) throws Exception {
        Session session = SESSIONS.openSession();
        Transaction transaction = session.beginTransaction();
        try {
            T result = work.in(session);
            transaction.commit();
            return result;
        } finally {
            if (transaction.isActive()) transaction.rollback();
            session.close();
        }
    }

    /** A detached object, as a web form holds one. */
    @SuppressWarnings("unchecked")
    private static <T> T read(Class<T> kind) throws Exception {
        return transaction(session -> (T) session.get(kind, 1));
    }

    private static void save(Object row) throws Exception {
        transaction(session -> {
            session.update(row);
            return null;
        });
    }

    private static Purchase order(String address) throws Exception {
        Purchase order = read(Purchase.class);
        order.address = address;
        return order;
    }

    private static int hql(String statement) throws Exception {
        return transaction(session -> session.createQuery(statement).executeUpdate());
    }

    private static void insert(Object row) throws Exception {
        transaction(session -> session.save(row));
    }

    private static String author() throws Exception {
        return row("SELECT name, books_count, version FROM authors");
    }

    /** A child written by somebody else, who counts it. */
    private static void addBook() throws Exception {
        hql("update Author set booksCount = booksCount + 1 where id = 1");
    }

    static void tests() {
        flushes();
        bulk();
        counters();
        others();
    }

    private static void flushes() {
        test("hibernate: a flush bumps once, a stale one is StaleObjectStateException", () -> {
            Purchase ann = order("Ann Street"), bob = order("Bob Street");
            save(ann);
            equal(2, ann.version);
            ann.address = "Ann Street 2";
            save(ann);
            raises(StaleObjectStateException.class, () -> save(bob));
            raises(StaleObjectStateException.class, () -> transaction(session -> session.merge(bob)));
            equal("Ann Street 2 3", stored());
        });
        test("hibernate: two flushes at once: one wins", () -> {
            Purchase ann = order("of Ann"), bob = order("of Bob");
            equal(StaleObjectStateException.class, race(() -> save(ann), () -> save(bob)).getClass());
        });
        test("hibernate: a stale delete is StaleObjectStateException", () -> {
            Purchase stale = order("x");
            save(order("Ann Street"));
            raises(StaleObjectStateException.class, () -> transaction(session -> {
                session.delete(stale);
                return null;
            }));
            equal("Ann Street 2", stored());
        });
        test("hibernate: a forced increment counts once", () -> {
            transaction(session -> session.get(Purchase.class, 1, LockMode.OPTIMISTIC_FORCE_INCREMENT));
            transaction(session -> session.get(Purchase.class, 1, LockMode.PESSIMISTIC_FORCE_INCREMENT));
            equal("Old Street 3", stored());
        });
    }

    private static void bulk() {
        test("hibernate: bulk HQL leaves the version out, and is refused", () -> reports(
                raises(GenericJDBCException.class, () -> hql("update Purchase set address = 'x' where id = 1")), "RG428", "orders", "not in the SET list"));
        test("hibernate: update versioned counts, and checks nothing", () -> {
            equal(1, hql("update versioned Purchase set address = 'x' where id = 1"));
            equal("x 2", stored());
        });
        test("hibernate: bulk HQL that states the version is judged", () -> {
            String statement = "update Purchase set address = '%s', version = 2 where id = 1";
            hql(String.format(statement, "Ann Street"));
            reports(raises(GenericJDBCException.class, () -> hql(String.format(statement, "Bob Street"))), "RG409", "orders",
                    "stated version 1, stored version 2");
        });
    }

    private static void counters() {
        test("hibernate: a counter in ignore makes nobody stale, but a flush of the whole row writes it back", () -> {
            Author ann = read(Author.class);
            addBook();
            ann.name = "Anna";
            save(ann);
            equal("Anna 0 2", author());
        });
        test("hibernate: with updatable = false the counter stays", () -> {
            NamedAuthor ann = read(NamedAuthor.class);
            addBook();
            ann.name = "Anna";
            save(ann);
            equal("Anna 1 2", author());
        });
        test("hibernate: with dynamicUpdate too, for an object of the session", () -> {
            transaction(session -> {
                ChangedAuthor ann = (ChangedAuthor) session.get(ChangedAuthor.class, 1);
                addBook();
                ann.name = "Anna";
                return null;
            });
            equal("Anna 1 2", author());
        });
        test("hibernate: a flush of the whole row names the e-mail, and inserts of children wait for it", () -> {
            raises(org.postgresql.util.PSQLException.class, () -> addedBook(Author.class));
            addedBook(NamedAuthor.class);
        });
    }

    /** Inserts a child from elsewhere while a changed parent is flushed and not committed. */
    private static void addedBook(Class<?> kind) throws Exception {
        transaction(session -> {
            Object author = session.get(kind, 1);
            if (author instanceof Author) ((Author) author).name += "a";
            else ((NamedAuthor) author).name += "a";
            session.flush();
            try {
                execute(PLAIN, "SET lock_timeout = '20ms'; INSERT INTO books VALUES (1, 1)");
            } finally {
                execute(PLAIN, "RESET lock_timeout");
            }
            return null;
        });
    }

    private static void others() {
        test("hibernate: cap and cooldown", () -> {
            Post[] posts = {new Post(), new Post()};
            Report[] reports = {new Report(), new Report()};
            for (int i = 0; i < 2; i++) {
                posts[i].id = reports[i].id = i + 1;
                posts[i].author = reports[i].author = 42;
                reports[i].at = new Date();
            }
            insert(posts[0]);
            reports(raises(GenericJDBCException.class, () -> insert(posts[1])), "RG403", "posts", "the only slot is taken");
            insert(reports[0]);
            reports(raises(GenericJDBCException.class, () -> insert(reports[1])), "RG429", "reports", "the next is allowed at");
        });
        test("hibernate: lock_key", () -> transaction(session -> {
            session.createSQLQuery("SELECT 1 FROM raceguard.lock_key('posts', :key)").setInteger("key", 42).list();
            equal("f", row("SELECT raceguard.try_lock_key('posts', 42)"));
            return null;
        }));
    }
}
