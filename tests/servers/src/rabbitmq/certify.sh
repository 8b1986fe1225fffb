# Makes an authority (root.crt) and a certificate for `localhost` (server.crt, server.key) in the working folder.
set -e
openssl ecparam -name prime256v1 -genkey -noout -out root.key
openssl ecparam -name prime256v1 -genkey -noout -out server.key
openssl req -x509 -key root.key -days 2 -subj /CN=authority -out root.crt
openssl req -new -key server.key -subj /CN=localhost -out server.csr
printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n' >server.ext
openssl x509 -req -in server.csr -CA root.crt -CAkey root.key -CAcreateserial -days 2 \
    -extfile server.ext -out server.crt
# The server has an account of its own, which must be able to read them.
chmod 644 server.key server.crt
