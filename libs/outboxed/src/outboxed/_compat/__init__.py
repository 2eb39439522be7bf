"""What is used of other libraries beside their public interface: one module a library."""
