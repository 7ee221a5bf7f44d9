import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.security.Key;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Signature;
import java.util.Base64;
import java.util.Collections;
import java.util.HexFormat;
import javax.crypto.Cipher;
import javax.crypto.KeyGenerator;
import javax.crypto.SecretKey;

/**
 * What a program in Java does with a JCEKS keystore. Passwords come on standard input, UTF-8, a line each: the
 * store's, the keys'. Aliases go out in Base64, so that no locale changes them.
 *
 * make FILE: a store with one secret key of each kind; prints alias, algorithm, key.
 * use FILE: prints alias, algorithm, and what the key does to the word "tape": AES in GCM mode (nonce, result),
 * RSA with a signature; of other keys the bytes, of certificates the encoding.
 */
public class Probe {
    private static final byte[] WORD = "tape".getBytes(StandardCharsets.US_ASCII);

    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        char[] store = lines.readLine().toCharArray();
        char[] keys = lines.readLine().toCharArray();
        if (arguments[0].equals("make")) {
            make(arguments[1], store, keys);
        } else {
            use(arguments[1], store, keys);
        }
    }

    private static void make(String file, char[] store, char[] keys) throws Exception {
        KeyStore made = KeyStore.getInstance("JCEKS");
        made.load(null, null);
        String[][] wanted = {
            {"KEY000000000000000001", "AES", "256"},
            {"short", "AES", "128"},
            {"triple", "DESede", "168"},
            {"mac", "HmacSHA256", "512"},
            {"schl\u00fcssel \ud83d\ude00", "AES", "256"},
        };
        for (String[] one : wanted) {
            KeyGenerator generator = KeyGenerator.getInstance(one[1]);
            generator.init(Integer.parseInt(one[2]));
            SecretKey key = generator.generateKey();
            made.setKeyEntry(one[0], key, keys, null);
            print(one[0].toLowerCase(), one[1], key.getEncoded());
        }
        try (OutputStream out = new FileOutputStream(file)) {
            made.store(out, store);
        }
    }

    private static void use(String file, char[] store, char[] keys) throws Exception {
        KeyStore found = KeyStore.getInstance("JCEKS");
        try (InputStream in = new FileInputStream(file)) {
            found.load(in, store);
        }
        for (String alias : Collections.list(found.aliases())) {
            if (!found.isKeyEntry(alias)) {
                print(alias, "certificate", found.getCertificate(alias).getEncoded());
                continue;
            }
            Key key = found.getKey(alias, keys);
            if (key instanceof PrivateKey) {
                Signature signature = Signature.getInstance("SHA256withRSA");
                signature.initSign((PrivateKey) key);
                signature.update(WORD);
                print(alias, key.getAlgorithm() + found.getCertificateChain(alias).length, signature.sign());
            } else if (key.getAlgorithm().equals("AES")) {
                Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
                cipher.init(Cipher.ENCRYPT_MODE, key);
                print(alias, "AES", cipher.getIV(), cipher.doFinal(WORD));
            } else {
                print(alias, key.getAlgorithm(), key.getEncoded());
            }
        }
    }

    private static void print(String alias, String algorithm, byte[]... values) {
        StringBuilder line = new StringBuilder();
        line.append(Base64.getEncoder().encodeToString(alias.getBytes(StandardCharsets.UTF_8)));
        line.append(' ').append(algorithm);
        for (byte[] value : values) {
            line.append(' ').append(HexFormat.of().formatHex(value));
        }
        System.out.println(line);
    }
}
