import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.LinkedHashMap;
import java.util.Map;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

/** What the tests of every Java client share: a list of tests, comparisons, a plain connection, and a race of two saves. */
class Harness {
    interface Step {
        void run() throws Exception;
    }

    static final Map<String, Step> TESTS = new LinkedHashMap<>();
    static final String URL = "jdbc:postgresql://localhost/" + System.getenv("PGDATABASE") + "?user=" + System.getenv("PGUSER")
            + "&sslmode=disable&socketFactory=UnixSocket&socketFactoryArg=" + System.getenv("PGHOST") + "/.s.PGSQL."
            + System.getenv("PGPORT");
    static final Connection PLAIN = connect();

    static Connection connect() {
        try {
            return DriverManager.getConnection(URL);
        } catch (SQLException error) {
            throw new IllegalStateException(error);
        }
    }

    static void test(String name, Step body) {
        TESTS.put(name, body);
    }

    static void equal(Object wanted, Object found) {
        if (!wanted.equals(found)) throw new AssertionError(found + " instead of " + wanted);
    }

    static void execute(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(sql);
        }
    }

    /** The only row of a query, its columns with a space between. */
    static String row(String sql) throws SQLException {
        try (Statement statement = PLAIN.createStatement(); ResultSet found = statement.executeQuery(sql)) {
            found.next();
            StringBuilder columns = new StringBuilder(found.getString(1));
            for (int i = 2; i <= found.getMetaData().getColumnCount(); i++) columns.append(' ').append(found.getString(i));
            return columns.toString();
        }
    }

    static String stored() throws SQLException {
        return row("SELECT address, version FROM orders WHERE id = 1");
    }

    /** The exception of that very class (not a subclass) that the step ends with. */
    static Throwable raises(Class<?> kind, Step step) {
        Throwable error = null;
        try {
            step.run();
        } catch (Exception thrown) {
            error = thrown;
        }
        if (error == null) throw new AssertionError("no " + kind.getSimpleName());
        if (error.getClass() != kind) throw new AssertionError(error.getClass() + " instead of " + kind, error);
        return error;
    }

    /** The driver's error below this one has the code, DETAIL, HINT and table of raceguard's report. */
    static void reports(Throwable error, String code, String table, String detail) {
        while (!(error instanceof PSQLException)) error = error.getCause();
        equal(code, ((PSQLException) error).getSQLState());
        ServerErrorMessage said = ((PSQLException) error).getServerErrorMessage();
        equal(table, said.getTable());
        if (!said.getDetail().contains(detail) || said.getHint() == null) throw new AssertionError(said.toString(), error);
    }

    /**
     * Starts two saves of order 1 while its row is locked, lets them go when both wait for it, and demands that exactly
     * one wins. Each saves the address "of Ann" or "of Bob". Answers the loser's error.
     */
    static Throwable race(Step ann, Step bob) throws Exception {
        Throwable[] errors = new Throwable[2];
        Thread[] threads = {saving(ann, errors, 0), saving(bob, errors, 1)};
        try (Connection gate = connect()) {
            execute(gate, "BEGIN; SELECT FROM orders WHERE id = 1 FOR UPDATE");
            for (Thread thread : threads) thread.start();
            long deadline = System.nanoTime() + 60_000_000_000L;
            while (!"2".equals(row("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"))) {
                if (System.nanoTime() > deadline) throw new AssertionError("the two saves do not wait for the row");
                Thread.sleep(5);
            }
        }
        for (Thread thread : threads) thread.join();
        if ((errors[0] == null) == (errors[1] == null)) throw new AssertionError("not one winner", errors[0]);
        equal(errors[0] == null ? "of Ann 2" : "of Bob 2", stored());
        return errors[0] == null ? errors[1] : errors[0];
    }

    private static Thread saving(Step save, Throwable[] errors, int place) {
        return new Thread(() -> {
            try {
                save.run();
            } catch (Exception error) {
                errors[place] = error;
            }
        });
    }
}
