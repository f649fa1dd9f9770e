package loginlake;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.util.Arrays;
import java.util.Iterator;
import org.apache.commons.io.IOUtils;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FSDataOutputStreamBuilder;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Writes a commit of Delta on S3 only if its version does not exist yet, by one conditional request.
 *
 * <p>Delta's own class for S3 looks whether the file exists, and then writes it: two processes can both do so, and the
 * later one overwrites the commit of the other. No setting of Hadoop makes that write conditional.
 *
 * <p>Spark's own compiler, Janino, compiles this file when a session starts: see lakehouse/session.py.
 */
public class ConditionalLogStore extends io.delta.storage.S3SingleDriverLogStore {

    public ConditionalLogStore(Configuration configuration) {
        super(configuration);
    }

    public void write(Path path, Iterator actions, Boolean overwrite, Configuration configuration) throws IOException {
        if (overwrite.booleanValue()) {
            super.write(path, actions, overwrite, configuration);
            return;
        }
        FileSystem files = path.getFileSystem(configuration);
        byte[] content = content(actions);
        try {
            create(files, path, content);
        } catch (IOException refusal) {
            // If the answer to a successful request was lost, its repetition is refused. No two commits are equal.
            if (!files.exists(path)) {
                throw refusal;
            }
            if (!Arrays.equals(content, read(files, path))) {
                FileAlreadyExistsException exists = new FileAlreadyExistsException(path.toString());
                exists.initCause(refusal);
                throw exists;
            }
        }
    }

    private static void create(FileSystem files, Path path, byte[] content) throws IOException {
        FSDataOutputStreamBuilder builder = files.createFile(path);
        builder.recursive();
        builder.must("fs.option.create.conditional.overwrite", "true");
        FSDataOutputStream stream = (FSDataOutputStream) builder.build();
        stream.write(content, 0, content.length);
        stream.close();
    }

    private static byte[] content(Iterator actions) throws IOException {
        ByteArrayOutputStream lines = new ByteArrayOutputStream();
        while (actions.hasNext()) {
            lines.write(((String) actions.next() + "\n").getBytes(StandardCharsets.UTF_8));
        }
        return lines.toByteArray();
    }

    private static byte[] read(FileSystem files, Path path) throws IOException {
        InputStream stream = files.open(path);
        try {
            return IOUtils.toByteArray(stream);
        } finally {
            stream.close();
        }
    }
}
